#!/bin/sh
# Downloads the archive of a Debian source package, as any user, in the tools image.
#   debian-source.sh ARCHIVE.SH PACKAGE SUITE FILE INTO
# Only that one file is asked for: the package's other files change with every Debian revision, it does not.
set -eu
archive=$1 package=$2 suite=$3 file=$4 into=$5
apt=$(mktemp -d)
mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial"
sh "$archive" deb-src "$suite" > "$apt/list"
cat > "$apt/conf" <<CONF
APT::Sandbox::User "root";
Dir::State "$apt/state";
Dir::State::status "/dev/null";
Dir::Cache "$apt/cache";
Dir::Etc::sourcelist "$apt/list";
Dir::Etc::sourceparts "/dev/null";
Acquire::Languages "none";
CONF
export APT_CONFIG="$apt/conf"
apt-get update -qq
# A row reads: 'URI' NAME SIZE HASH
apt-get -qq --print-uris source --only-source -- "$package/$suite" > "$apt/rows"
uri=$(awk -v file="$file" '$2 == file { gsub("\047", "", $1); print $1 }' "$apt/rows")
if [ -z "$uri" ]; then
    echo "$package/$suite does not carry $file; it carries $(awk '{ printf "%s%s", sep, $2; sep = ", " }' "$apt/rows")" >&2
    exit 1
fi
exec /usr/lib/apt/apt-helper download-file -- "$uri" "$into"
