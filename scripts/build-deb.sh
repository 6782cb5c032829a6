#!/bin/sh
# Builds the Debian packages into .build/deb/. Only what is fetched before the build, into the source package, needs a network.
#
#   scripts/build-deb.sh [WORK]     WORK: where sources are unpacked and compiled (default: .build/deb-work). It is kept,
#                                   so that the next run compiles only what changed. The result does not depend on it.
#   LITEBASE_DEB_SOURCE_ONLY=1      the source package only
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

# A component of the source package, as its repository has it. The commit says what it is: a name can be moved.
argument_parser=436bde4bb9489201ca6662f5cf94ec45fa8e244e # 1.8.2

# The compiler that Build-Depends name, if it is installed; else what is in PATH (debian/README.source).
profile=--build-profiles=pkg.litebase.foreign-swift
dpkg --compare-versions "$(dpkg-query -W -f '${Version}' swiftlang 2>/dev/null)" ge 6.3 && profile=--build-profiles=

# What git knows (changed or not), or, in an unpacked archive, everything but build products.
sources() {
    if git rev-parse --git-dir >/dev/null 2>&1; then
        git ls-files -z --cached --others --exclude-standard | xargs -0 sh -c 'for f; do [ ! -e "$f" ] || printf "%s\0" "$f"; done' sh
    else
        find . \( -name .git -o -name '.build*' -o -path ./clients/node/dist -o -name .venv -o -name __pycache__ -o -name Package.resolved -o -name swift-argument-parser \) -prune -o -type f -printf '%P\0'
    fi | LC_ALL=C sort -z
}

mkdir -p "$work" "$out"
work=$(cd "$work" && pwd)
date=@$(dpkg-parsechangelog -l packaging/debian/changelog -S Timestamp)
tree=$work/litebase-$upstream
sources | tar --null --files-from=- --sort=name --mtime="$date" --owner=0 --group=0 --numeric-owner --mode=go=rX,u+rw \
    --transform="s,^,litebase-$upstream/,S" -c | gzip -9n >"$work/litebase_$upstream.orig.tar.gz"

parser() { git -C "$(echo "$work"/packages/repositories/swift-argument-parser-*)" "$@" 2>/dev/null; }
if ! parser cat-file -e "$argument_parser^{commit}"; then
    swift package --scratch-path "$work/packages" resolve >"$work/build.log" 2>&1 || {
        cat "$work/build.log" >&2
        exit 1
    }
fi
parser archive --format=tar --prefix=swift-argument-parser/ "$argument_parser" >"$work/component.tar"
gzip -9n <"$work/component.tar" >"$work/litebase_$upstream.orig-swift-argument-parser.tar.gz"
rm "$work/component.tar"

# Into the tree of the last run, leaving unchanged files untouched for the compiler's sake.
rm -rf "$work/fresh"
mkdir -p "$work/fresh" "$tree"
tar -C "$work/fresh" -xzf "$work/litebase_$upstream.orig.tar.gz"
tar -C "$work/fresh/litebase-$upstream" -xzf "$work/litebase_$upstream.orig-swift-argument-parser.tar.gz"
cp -a packaging/debian "$work/fresh/litebase-$upstream/debian"
rsync --recursive --links --perms --checksum --delete "$work/fresh/litebase-$upstream/" "$tree/"
# What the last run has made in a directory.
remove_products() {
    for package in $(sed -n 's/^Package: //p' packaging/debian/control); do
        rm -f "$1/$package"_*.deb "$1/$package"-dbgsym_*.deb
    done
    rm -f "$1"/litebase_*.dsc "$1"/litebase_*.debian.tar.xz "$1"/litebase_*.changes "$1"/litebase_*.buildinfo
}
rm -rf "$work/fresh"
remove_products "$work"

# As a build daemon does it: no network, and nothing of a home directory.
isolated="unshare --net"
[ "$(id -u)" = 0 ] || isolated="unshare --net --map-current-user"
(cd "$tree" && HOME="$work/home" LITEBASE_SCRATCH="$work/scratch" \
    $isolated dpkg-buildpackage --no-sign "$profile" ${LITEBASE_DEB_SOURCE_ONLY:+--build=source}) >"$work/build.log" 2>&1 || {
    tail -n 40 "$work/build.log" >&2
    echo "the build failed; all of its output is in $work/build.log" >&2
    exit 1
}

remove_products "$out"
rm -f "$out"/litebase_*.tar.*
# Those of the binary packages are missing where only the source was wanted.
for file in "$work"/*.deb "$work"/litebase_*.dsc "$work"/litebase_*.tar.* "$work"/litebase_*.changes "$work"/litebase_*.buildinfo; do
    [ ! -e "$file" ] || mv "$file" "$out"
done
ls -l "$out"
