#!/bin/sh
# Makes a root of Debian packages for any architecture, inside the base image, as root of the container. Which archive
# they come from is debian-archive.sh's to say.
#   debian-root.sh ARCH SUITE extract|configure PACKAGE...      result: /root-tree, /packages.txt
# `extract` unpacks only (a sysroot: nothing of the target runs). `configure` also runs the packages' own scripts, which
# needs user emulation for a foreign architecture. Unpacking is done by the build machine's own dpkg either way: under
# emulation the same work takes many times as long.
set -eu
arch=$1 suite=$2 mode=$3
shift 3
tree=/root-tree

mkdir -p /apt/state/lists/partial /apt/cache/archives/partial "$tree/var/lib/dpkg/info" "$tree/var/lib/dpkg/updates"
: > "$tree/var/lib/dpkg/status"
: > "$tree/var/lib/dpkg/available"
# The main suite alone: for a foreign architecture the security index can be out of step with it.
/debian-archive.sh deb "$suite" > /apt/list
cat > /apt/conf <<CONF
APT::Architecture "$arch";
APT::Architectures "$arch";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Dir::State "/apt/state";
Dir::State::status "$tree/var/lib/dpkg/status";
Dir::Cache "/apt/cache";
Dir::Etc::sourcelist "/apt/list";
Dir::Etc::sourceparts "/dev/null";
Acquire::Languages "none";
CONF
export APT_CONFIG=/apt/conf DEBIAN_FRONTEND=noninteractive LC_ALL=C
apt-get update -qq
if [ "$mode" = configure ]; then set -- '?essential' apt "$@"; fi
apt-get install -y -qq --download-only "$@" > /dev/null
sha256sum /apt/cache/archives/*.deb | sed 's,/apt/cache/archives/,,' > /packages.txt

for merged in bin sbin lib; do
    mkdir -p "$tree/usr/$merged"
    ln -s "usr/$merged" "$tree/$merged"
done
case $arch in amd64) mkdir -p "$tree/usr/lib64" && ln -s usr/lib64 "$tree/lib64" ;; esac
for package in /apt/cache/archives/*.deb; do dpkg-deb --extract "$package" "$tree"; done
rm -rf "$tree/usr/share/doc" "$tree/usr/share/man" "$tree/usr/share/locale"
[ "$mode" = configure ] || exit 0

# dpkg of another architecture than the tree's: it must be told that the tree's is welcome, and only while it unpacks.
printf '%s\n' "$arch" > "$tree/var/lib/dpkg/arch"
printf '#!/bin/sh\nexit 101\n' > "$tree/usr/sbin/policy-rc.d"
chmod 755 "$tree/usr/sbin/policy-rc.d"
cp "$tree/usr/share/base-passwd/passwd.master" "$tree/etc/passwd"
cp "$tree/usr/share/base-passwd/group.master" "$tree/etc/group"
if [ "$arch" != "$(dpkg --print-architecture)" ]; then dpkg --root="$tree" --add-architecture "$arch"; fi
dpkg --root="$tree" --force-all --force-unsafe-io --path-exclude='/usr/share/doc/*' --path-exclude='/usr/share/man/*' \
    --path-exclude='/usr/share/locale/*' --unpack /apt/cache/archives/*.deb > /unpack.log 2>&1 \
    || { tail -n 20 /unpack.log >&2; exit 1; }
rm -f "$tree/var/lib/dpkg/arch"
chroot "$tree" dpkg --force-depends --force-unsafe-io --configure -a > /configure.log 2>&1 \
    || { tail -n 20 /configure.log >&2; exit 1; }
rm -f "$tree/usr/sbin/policy-rc.d"
