#!/bin/sh
# Builds the Debian package into .build/deb/, without network inside the build.
#
#   scripts/build-deb.sh [WORK]     WORK: where sources are unpacked and compiled (default: .build/deb-work). It is kept,
#                                   so that the next run compiles only what changed. The result does not depend on it.
set -eu
cd "$(dirname "$0")/.."
root=$(pwd)
work=${1:-$root/.build/deb-work}
out=${LITEBASE_DEB_OUT:-$root/.build/deb}

scripts/install-dependencies.sh package

version=$(dpkg-parsechangelog -l packaging/debian/changelog -S Version)
upstream=${version%-*}
product=$(sed -n 's/.*static let version = "\(.*\)".*/\1/p' Sources/LinuxSystem/Product.swift)
if [ "$upstream" != "$product" ]; then
    echo "packaging/debian/changelog says $upstream, Sources/LinuxSystem/Product.swift says $product" >&2
    exit 1
fi

# What git knows (changed or not), or, in an unpacked archive, everything but build products.
sources() {
    if git rev-parse --git-dir >/dev/null 2>&1; then
        git ls-files -z --cached --others --exclude-standard | xargs -0 sh -c 'for f; do [ ! -e "$f" ] || printf "%s\0" "$f"; done' sh
    else
        find . \( -name .git -o -name '.build*' -o -name .venv -o -name __pycache__ -o -name Package.resolved \) -prune -o -type f -printf '%P\0'
    fi | LC_ALL=C sort -z
}

mkdir -p "$work" "$out"
work=$(cd "$work" && pwd)
date=@$(dpkg-parsechangelog -l packaging/debian/changelog -S Timestamp)
tree=$work/litebase-$upstream
sources | tar --null --files-from=- --sort=name --mtime="$date" --owner=0 --group=0 --numeric-owner --mode=go=rX,u+rw \
    --transform="s,^,litebase-$upstream/,S" -c | gzip -9n >"$work/litebase_$upstream.orig.tar.gz"

# Into the tree of the last run, leaving unchanged files untouched for the compiler's sake.
rm -rf "$work/fresh"
mkdir -p "$work/fresh" "$tree"
tar -C "$work/fresh" -xzf "$work/litebase_$upstream.orig.tar.gz"
cp -a packaging/debian "$work/fresh/litebase-$upstream/debian"
rsync --recursive --links --perms --checksum --delete "$work/fresh/litebase-$upstream/" "$tree/"
rm -rf "$work/fresh" "$work"/litebase*.deb "$work"/litebase_*.dsc "$work"/litebase_*.debian.tar.xz \
    "$work"/litebase_*.changes "$work"/litebase_*.buildinfo

# What needs the network comes before the build: the Swift packages.
swift package --package-path "$tree" --scratch-path "$work/scratch" resolve >"$work/build.log" 2>&1 || {
    cat "$work/build.log" >&2
    exit 1
}

isolated="unshare --net"
[ "$(id -u)" = 0 ] || isolated="unshare --net --map-current-user"
(cd "$tree" && LITEBASE_SCRATCH="$work/scratch" $isolated dpkg-buildpackage --no-sign) >>"$work/build.log" 2>&1 || {
    tail -n 40 "$work/build.log" >&2
    echo "the build failed; all of its output is in $work/build.log" >&2
    exit 1
}

rm -f "$out"/litebase*
mv "$work"/litebase*.deb "$work"/litebase_*.dsc "$work"/litebase_*.tar.* "$work"/litebase_*.changes \
    "$work"/litebase_*.buildinfo "$out"
ls -l "$out"/*.deb
