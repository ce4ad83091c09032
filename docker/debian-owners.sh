#!/bin/sh
# Writes what dpkg itself would have written of packages that debian-root.sh only unpacked: which files are whose, in
# dpkg's own database, and the copyright texts. The bill of materials of a bundle names both for what it takes from here.
set -eu
tree=/root-tree
info=$tree/var/lib/dpkg/info
mkdir -p "$info"
echo 1 > "$info/format"
for package in /apt/cache/archives/*.deb; do
    name=$(dpkg-deb --field "$package" Package)
    # Dpkg names the lists of packages that can be there for several architectures by both.
    case $(dpkg-deb --field "$package" Multi-Arch) in
        same) list=$name:$(dpkg-deb --field "$package" Architecture).list ;;
        *) list=$name.list ;;
    esac
    dpkg-deb --fsys-tarfile "$package" | tar -t | sed 's,^\./,/,; s,/$,,; s,^$,/.,' > "$info/$list"
    { dpkg-deb --field "$package"; printf 'Status: install ok installed\n\n'; } >> "$tree/var/lib/dpkg/status"
    if grep -q '^/usr/share/doc/' "$info/$list"; then
        dpkg-deb --fsys-tarfile "$package" | tar -x -C "$tree" ./usr/share/doc
    fi
done
if [ -d "$tree/usr/share/doc" ]; then
    find "$tree/usr/share/doc" ! -type d ! -type l ! -name copyright -delete
    find "$tree/usr/share/doc" -mindepth 1 -type d -empty -delete
fi
