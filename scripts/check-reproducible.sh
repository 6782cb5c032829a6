#!/bin/sh
# Builds the Debian packages again, in a directory of another name and from the source package alone, without a network and without
# a home directory, and compares the results byte for byte. The source package is made again, too.
#
#   scripts/check-reproducible.sh [FIRST]     FIRST: a directory with packages already built (.build/deb); saves one build
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d "${TMPDIR:-/tmp}/litebase-reproducible-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

first=${1:-$work/first}
[ -n "${1:-}" ] || LITEBASE_DEB_OUT="$first" scripts/build-deb.sh "$work/here" >/dev/null

LITEBASE_DEB_SOURCE_ONLY=1 LITEBASE_DEB_OUT="$work/source" scripts/build-deb.sh "$work/there" >/dev/null

mkdir -p "$work/another/and-deeper/directory"
dpkg-source --extract "$first"/litebase_*.dsc "$work/another/and-deeper/directory/unpacked" >/dev/null
isolated="unshare --net"
[ "$(id -u)" = 0 ] || isolated="unshare --net --map-current-user"
profile=$(sed -n 's/^Built-For-Profiles: //p' "$first"/litebase_*.changes)
(cd "$work/another/and-deeper/directory/unpacked" && env -i PATH="$PATH" HOME="$work/home" LC_ALL=C.UTF-8 \
    $isolated dpkg-buildpackage --no-sign --build=binary "--build-profiles=$profile") >"$work/build.log" 2>&1 || {
    tail -n 40 "$work/build.log" >&2
    echo "the source package cannot be built by itself" >&2
    exit 1
}

status=0
for package in litebase-dbgsym $(sed -n 's/^Package: //p' packaging/debian/control); do
    ls "$work"/another/and-deeper/directory/"${package}"_*.deb >/dev/null || status=1
done
for file in "$work"/another/and-deeper/directory/*.deb "$work"/source/*.dsc "$work"/source/*.tar.*; do
    name=$(basename "$file")
    if cmp -s "$file" "$first/$name"; then
        echo "equal     $name"
    else
        echo "DIFFERENT $name"
        status=1
    fi
done
if [ $status != 0 ] && command -v diffoscope >/dev/null; then
    for file in "$work"/another/and-deeper/directory/*.deb; do
        diffoscope --max-report-size 20000 "$first/$(basename "$file")" "$file" || true
    done
fi
exit $status
