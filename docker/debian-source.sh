#!/bin/sh
# Asks Debian's archive for a source package, as any user, in the tools image: for machines whose apt knows another archive.
#   debian-source.sh list ARCHIVE.SH PACKAGE SUITE     per suite a line `# SUITE`, then rows of apt: 'ADDRESS' NAME SIZE HASH
#   debian-source.sh get ADDRESS INTO
set -eu
export LC_ALL=C
if [ "$1" = get ]; then
    exec /usr/lib/apt/apt-helper -o APT::Sandbox::User=root download-file -- "$2" "$3"
fi
archive=$2 package=$3 suite=$4
apt=$(mktemp -d)

security() {
    { sed -nE 's/^deb +(\[[^]]*\] +)?([^ ]+) .*/\2/p' /etc/apt/sources.list 2> /dev/null || true
        sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/*.sources 2> /dev/null | tr ' ' '\n' || true; } \
        | grep security | head -n 1 || true
}
# ask LINE SUITE
ask() {
    mkdir -p "$apt/$2/state/lists/partial" "$apt/$2/cache/archives/partial"
    echo "$1" > "$apt/$2/list"
    set -- "$2" -qq -o "Dir::State=$apt/$2/state" -o Dir::State::status=/dev/null -o "Dir::Cache=$apt/$2/cache" \
        -o "Dir::Etc::sourcelist=$apt/$2/list" -o Dir::Etc::sourceparts=/dev/null -o APT::Sandbox::User=root
    asked=$1
    shift
    apt-get "$@" update && apt-get "$@" --print-uris source --only-source -- "$package/$asked"
}
echo "# $suite"
line=$(sh "$archive" deb-src "$suite")
ask "$line" "$suite"
# Not every suite has one of security, nor every package an entry there.
uri=$(security)
line="deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${uri%/} $suite-security main"
if [ -n "$uri" ] && rows=$(ask "$line" "$suite-security" 2> /dev/null); then
    printf '# %s\n%s\n' "$suite-security" "$rows"
fi
