#!/bin/sh
# Asks Debian's archive for a source package, by the base image's own apt: for machines whose apt knows another archive.
#   debian-source.sh list PACKAGE SUITE     per suite a line `# SUITE`, then rows of apt: 'ADDRESS' NAME SIZE HASH
#   debian-source.sh get ADDRESS            result: /source
set -eu
export LC_ALL=C
if [ "$1" = get ]; then
    /usr/lib/apt/apt-helper -o APT::Sandbox::User=root download-file -- "$2" /source
    exit
fi

addresses() {
    sed -nE 's/^deb +(\[[^]]*\] +)?([^ ]+) .*/\2/p' /etc/apt/sources.list 2> /dev/null || true
    sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/*.sources 2> /dev/null | tr ' ' '\n' || true
}
# ask MIRROR SUITE PACKAGE
ask() {
    mkdir -p "/apt/$2/state/lists/partial" "/apt/$2/cache/archives/partial"
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $1 $2 main" > "/apt/$2/list"
    set -- "$3/$2" -qq -o "Dir::State=/apt/$2/state" -o Dir::State::status=/dev/null -o "Dir::Cache=/apt/$2/cache" \
        -o "Dir::Etc::sourcelist=/apt/$2/list" -o Dir::Etc::sourceparts=/dev/null -o APT::Sandbox::User=root
    package=$1
    shift
    apt-get "$@" update && apt-get "$@" --print-uris source --only-source -- "$package"
}
main=$(addresses | grep -v security | head -n 1)
security=$(addresses | grep security | head -n 1)
[ -n "$main" ] || { echo "the base image's apt knows no archive" >&2; exit 1; }
echo "# $3"
ask "${main%/}" "$3" "$2"
# Not every suite has one of security, nor every package an entry there.
if [ -n "$security" ] && rows=$(ask "${security%/}" "$3-security" "$2" 2> /dev/null); then
    printf '# %s\n%s\n' "$3-security" "$rows"
fi
