"""A log of builds that did not fail, written by us in the style of the tools: no line of it is a cause."""

from __future__ import annotations

HARMLESS = """\
-- The C compiler identification is GNU 12.2.0
-- Looking for getcontext - not found
checking for getcontext... yes
checking for dlclose in -ldl... no
checking whether we are cross compiling... yes
checking for aclocal-1.16... missing
-- Could NOT find OpenSSL, try to set the path to OpenSSL root folder (missing: OPENSSL_CRYPTO_LIBRARY)
-- Could NOT find MbedTLS (missing: MBEDTLS_LIBRARY)
-- Could NOT find ZLIB (missing: ZLIB_LIBRARY ZLIB_INCLUDE_DIR)
--   No package 'gstreamer-1.0' found
--   Package 'gstreamer-app-1.0', required by 'virtual:world', not found
Package libkvspicUtils is hidden from this build
CMake Warning:
  Manually-specified variables were not used by the project:
    BUILD_OPENSSL_EXTRA
CMake Deprecation Warning at CMakeLists.txt:1 (cmake_minimum_required):
  Compatibility with CMake < 3.5 will be removed from a future version of
CMake Warning at cmake/Own.cmake:7 (find_package):
  Could not find a package configuration file provided by "Thing" with any
a.c:10:5: warning: implicit declaration of function 'pthread_getname_np' [-Wimplicit-function-declaration]
b.c:11:5: warning: passing argument 1 of 'f' from incompatible pointer type [-Wincompatible-pointer-types]
cc -Wno-error=implicit-function-declaration -Wno-error=incompatible-pointer-types -c a.c
gcc -muclibc -m64 -fPIC -c a.c -o a.o
cc1: note: unrecognized command-line option '-Wno-unknown' may have been intended to silence earlier diagnostics
In file included from /bc/sysroot/usr/include/openssl/ssl.h:20,
                 from /usr/include/openssl/crypto.h:23,
/bc/sysroot/usr/include/openssl/md5.h:50:27: note: declared here
/usr/arm-linux-gnueabihf/include/stdio.h:1:1: note: in expansion of a macro
arm-linux-gnueabihf-ld: skipping incompatible /usr/lib/libz.so when searching for -lz
ld: warning: libogg.so.0, needed by libvorbis.so, not found (try using -rpath or -rpath-link)
ld: x.o: warning: undefined reference to `lws_optional'
ld: warning: type and size of dynamic symbol are not defined; consider recompiling with PIC
Cloning into '/bc/work/src/dependency/libkvspic/kvspic-src'...
HEAD is now at 57637ea a commit whose message says fatal error
error-prone.c: compiled
-- Installing: /bc/work/out/bc/prefix/include/openssl/opensslconf.h
-- Installing: /bc/work/out/bc/prefix/include/com/amazonaws/kinesis/video/common/CommonDefs.h
edit: /bc/work/src/CMakeLists.txt: 2 replaced
patching file lib/a.c
Hunk #1 succeeded at 40 (offset 2 lines).
configure: WARNING: using cross tools not prefixed with host triplet
libtool: link: arm-linux-gnueabihf-gcc -shared -fPIC -Wl,-rpath-link,/bc/prefix/lib -o .libs/libcurl.so.4.8.0
[ 40%] Building C object CMakeFiles/kvspicUtils.dir/src/GlobalThreadSleep.c.o
[100%] Linking CXX shared library libgstkvssink.so
checking for __atomic_load_8 in -latomic... no
make[1]: Leaving directory '/bc/work/src'
""".splitlines()
