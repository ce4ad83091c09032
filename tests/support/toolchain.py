"""A vendor's toolchain for tests: Debian's armv7 cross compiler, moved into one folder that works anywhere."""

from __future__ import annotations

import io
from pathlib import Path, PurePosixPath

from recipes.arch import ARCHES
from recipes.engine.confinement import Rights
from recipes.engine.container import Job
from recipes.engine.docker import Engine
from recipes.errors import BuildError
from recipes.toolchains.images import ensure_image

TRIPLE = "arm-vendor-linux-gnueabihf"
TARBALL = "kit.tar.zst"
# The layout of many SDKs: a wrapper for each tool that starts from its own place, the real programs beside it, a
# sysroot with the C library, and the compiler's own libraries outside of that. The same bytes come out each time.
_ASSEMBLE = r"""set -eu
from=arm-linux-gnueabihf
to=$1
top=/tmp/kit/vendor-gcc-12
gcc=$top/lib/gcc-cross/$from/12

mkdir -p "$top/bin" "$top/lib/host" "$top/lib/gcc-cross/$from" "$top/$from/bin" "$top/$from/lib" "$top/sysroot/usr"
cp -RPp "/usr/lib/gcc-cross/$from/12" "$gcc"
rm -rf "$gcc/lto1" "$gcc/plugin" "$gcc/libcc1.so" "$gcc/g++-mapper-server" "$gcc"/lib*san*
cp -RPp "/usr/$from/include" "$top/sysroot/usr/include"
mkdir "$top/$from/include"
mv "$top/sysroot/usr/include/c++" "$top/$from/include/c++"
cp -RPp "/usr/$from/lib" "$top/sysroot/lib"
rm -f "$top/sysroot/lib"/lib*san* "$top/sysroot/lib/libc_malloc_debug"*
for library in libstdc++ libgcc_s libatomic libgomp; do mv "$top/sysroot/lib/$library".so* "$top/$from/lib/"; done
ln -s ../lib "$top/sysroot/usr/lib"
# The linker reads such a path below the sysroot.
sed -i "s,/usr/$from/,/,g" "$top/sysroot/lib/libc.so"
# As a board's own file system has it: from the root on.
ln -s /lib/ld-linux-armhf.so.3 "$top/sysroot/lib/ld-linux.so.3"

cp -p /usr/lib/x86_64-linux-gnu/lib*-armhf.so* "$top/lib/host/"
for one in libjansson.so.4 libsframe.so.0; do cp -pL "/usr/lib/x86_64-linux-gnu/$one" "$top/lib/host/"; done

# wrapper NAME PROGRAM WORDS: PROGRAM is seen from the wrapper's own folder.
wrapper() {
    {
        echo '#!/bin/sh'
        echo 'here=$(dirname "$(readlink -f "$0")")'
        echo "$3"
        echo "exec \"\$here/$2\" $4 \"\$@\""
    } > "$1"
    chmod 755 "$1"
}
for tool in gcc g++ cpp; do
    cp -p "/usr/bin/$from-$tool-12" "$top/bin/$from-$tool-12"
    wrapper "$top/bin/$to-$tool" "$from-$tool-12" '' '--sysroot="$here/../sysroot"'
done
for tool in ar as ld nm objcopy objdump ranlib readelf strip; do
    cp -pL "/usr/bin/$from-$tool" "$top/lib/host/$tool"
    # gcc and libtool find this one, the other is for people.
    libraries='export LD_LIBRARY_PATH="$here/../../lib/host${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"'
    wrapper "$top/$from/bin/$tool" "../../lib/host/$tool" "$libraries" ''
    ln -s "../$from/bin/$tool" "$top/bin/$to-$tool"
done
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C /tmp/kit -cf - vendor-gcc-12 | zstd -q -1 > "/tmp/$2"
"""


def assemble(engine: Engine, into: Path) -> Path:
    """Make the toolchain's tarball in a folder, and return its path."""
    image = ensure_image(ARCHES["armv7"], engine)
    log = io.BytesIO()
    with engine.session(
        Job(image=image.tag, environment={"LC_ALL": "C"}, rights=Rights.PACKAGES, cwd=PurePosixPath("/tmp"))
    ) as session:
        if session.run(["sh", "-c", _ASSEMBLE, "assemble", TRIPLE, TARBALL], log=log) != 0:
            raise BuildError("the toolchain for the tests cannot be put together", why=log.getvalue().decode())
        (into / TARBALL).write_bytes(session.read(PurePosixPath(f"/tmp/{TARBALL}"), most=1 << 30))
    return into / TARBALL
