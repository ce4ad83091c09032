#!/bin/sh
# Turns an unpacked tree of busybox-static, dropbear-bin and libc6 into a board that has nothing else.
set -eu
tree=/root-tree
rm -rf "${tree:?}/usr/share" "${tree:?}/usr/lib/x86_64-linux-gnu/gconv" "${tree:?}/var" "${tree:?}/usr/include"
# Whatever came along that is not BusyBox, dropbear or the loader: a small board has none of it.
find "$tree/usr/bin" "$tree/usr/sbin" -mindepth 1 ! -name busybox ! -name 'dropbear*' -delete
mkdir -p "$tree/root" "$tree/etc/dropbear" "$tree/tmp" "$tree/proc" "$tree/sys" "$tree/dev" "$tree/opt" "$tree/var/log" \
    "$tree/run" "$tree/usr/sbin"
chmod 700 "$tree/root"
chmod 1777 "$tree/tmp"
printf 'root:x:0:0:root:/root:/bin/sh\n' > "$tree/etc/passwd"
printf 'root:*:19000:0:99999:7:::\n' > "$tree/etc/shadow"
printf 'root:x:0:\n' > "$tree/etc/group"
printf '/bin/sh\n' > "$tree/etc/shells"
chmod 600 "$tree/etc/shadow"
chroot "$tree" /bin/busybox --install -s
