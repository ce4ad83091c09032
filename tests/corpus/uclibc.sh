#!/bin/sh
# Builds uClibc-ng of Debian's source package into /opt/uclibc, with specs that make the image's compiler build for it.
# Usage: uclibc.sh ARCH TRIPLE LOADER HASH OPTION [CFLAG...]
# HASH is the table of symbols that the loader reads, OPTION one more line of the configuration.
set -eu
arch=$1 triple=$2 loader=$3 hash=$4 option=$5
shift 5

headers=/usr/$triple/include
[ -d "$headers/linux" ] || headers=/usr/include
machine=$headers
[ -d "$machine/asm" ] || machine=/usr/include/$triple
work=$(mktemp -d)
mkdir "$work/headers" "$work/source"
ln -s "$headers/linux" "$headers/asm-generic" "$machine/asm" "$work/headers"
tar -xf /usr/src/uClibc-ng-*.tar.xz --strip-components=1 -C "$work/source"
cd "$work/source"

# The defaults, but for where boards have it, threads as all boards' have them, and one kind of object files.
cat > .config <<CONFIG
TARGET_$arch=y
ARCH_WANTS_LITTLE_ENDIAN=y
# ARCH_WANTS_BIG_ENDIAN is not set
CONFIG_ARM_EABI=y
KERNEL_HEADERS="$work/headers"
CROSS_COMPILER_PREFIX="$triple-"
RUNTIME_PREFIX="/"
DEVEL_PREFIX="/usr/"
MULTILIB_DIR="lib"
DOPIC=y
UCLIBC_EXTRA_CFLAGS="$*"
UCLIBC_HAS_THREADS_NATIVE=y
$([ "$hash" = sysv ] || echo LDSO_GNU_HASH_SUPPORT=y)
$option
CONFIG
yes '' | make ARCH="$arch" oldconfig > config.log 2>&1 || true
grep -q "^TARGET_$arch=y" .config || { tail -n 20 config.log; exit 1; }
make -j"$(nproc)" ARCH="$arch" UCLIBC_EXTRA_LDFLAGS="-Wl,--hash-style=$hash" > make.log 2>&1 \
    && make ARCH="$arch" PREFIX=/opt/uclibc install >> make.log 2>&1 || { tail -n 30 make.log; exit 1; }
rm -r "$work"
# A program finds its loader at that path, and the emulator below its prefix.
ln -s /opt/uclibc/lib/* /lib/

lib=/opt/uclibc/usr/lib
cat > /opt/uclibc/gcc.specs <<SPECS
%rename cpp_options usual_cpp_options

*cpp_options:
-nostdinc -isystem /opt/uclibc/usr/include -isystem include%s %(usual_cpp_options)

*link_libgcc:
-L$lib

*libgcc:
libgcc.a%s %:if-exists(libgcc_eh.a%s)

*lib:
/opt/uclibc/lib/libc.so.0 $lib/uclibc_nonshared.a

*startfile:
%{!shared:$lib/Scrt1.o} $lib/crti.o crtbeginS.o%s

*endfile:
crtendS.o%s $lib/crtn.o

*link:
-dynamic-linker /lib/$loader --hash-style=both -rpath-link /opt/uclibc/lib -nostdlib %{shared:-shared} %{static:-static} %{rdynamic:-export-dynamic}

SPECS
