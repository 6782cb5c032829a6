#!/bin/sh
# Builds the Debian package twice from nothing, in directories of different names, and compares the results byte for byte.
#
#   scripts/check-reproducible.sh [FIRST]     FIRST: a directory with packages already built (.build/deb); saves one build
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d "${TMPDIR:-/tmp}/litebase-reproducible-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

first=${1:-$work/first}
[ -n "${1:-}" ] || LITEBASE_DEB_OUT="$first" scripts/build-deb.sh "$work/here" >/dev/null
LITEBASE_DEB_OUT="$work/second" scripts/build-deb.sh "$work/another/and-deeper/directory" >/dev/null

status=0
for file in "$work"/second/*.deb "$work"/second/*.dsc "$work"/second/*.tar.*; do
    name=$(basename "$file")
    if cmp -s "$file" "$first/$name"; then
        echo "equal     $name"
    else
        echo "DIFFERENT $name"
        status=1
    fi
done
if [ $status != 0 ] && command -v diffoscope >/dev/null; then
    for file in "$work"/second/*.deb; do diffoscope --max-report-size 20000 "$first/$(basename "$file")" "$file" || true; done
fi
exit $status
