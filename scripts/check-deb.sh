#!/bin/sh
# Checks the packages that scripts/build-deb.sh made: lintian, hardening, libraries, what is linked statically, debugging symbols.
#
#   scripts/check-deb.sh [DIRECTORY]     default: .build/deb
set -eu
cd "$(dirname "$0")/.."
packages=${1:-.build/deb}
scripts/install-dependencies.sh package-check

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
status=0
wrong() { echo "WRONG: $*" >&2; status=1; }

# An override needs its reason, in packaging/debian; everything else is a failure, down to "pedantic".
# (Static-Built-Using is known to dpkg since 1.21.3, to lintian 2.116 of Debian 12 not yet. The other tag is about top_level.txt of
# every Python package: lintian masks it by itself, shows nothing, and fails all the same.)
lintian --allow-root --suppress-tags unknown-field,package-contains-documentation-outside-usr-share-doc --pedantic --display-info --display-experimental \
    --fail-on error,warning,info,pedantic,experimental "$packages"/*.changes || wrong "lintian"

for package in "$packages"/*.deb; do
    case $package in
        *-dbgsym_*) dpkg-deb -x "$package" "$work/symbols" ;;
        */python3-*) dpkg-deb -x "$package" "$work/python" ;;
        */node-*) dpkg-deb -x "$package" "$work/node" ;;
        */golang-*) dpkg-deb -x "$package" "$work/go" ;;
        */librust-*) dpkg-deb -x "$package" "$work/rust" ;;
        *) dpkg-deb -x "$package" "$work/package" ;;
    esac
done

# The clients' libraries of the other engines are opened on demand; here they would be a burden for everybody.
libraries_of() {
    case $1 in
        litebased) echo "ld-linux-* libc.so.6 libm.so.6 libsqlite3.so.0 libsystemd.so.0" ;;
        litebase) echo "ld-linux-* libc.so.6 libm.so.6" ;;
    esac
}
needs_unknown() {
    set -f
    for library in $(readelf -dW "$2" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
        known=""
        # shellcheck disable=SC2254
        for pattern in $(libraries_of "$1"); do case $library in $pattern) known=1 ;; esac; done
        [ -n "$known" ] || echo "$library"
    done
    set +f
}

# The largest step that a function makes over the stack without touching what is between (-fstack-clash-protection has the parts
# in C touch it; Swift's compiler has no such thing). Below a stack lie as many bytes that cannot be touched, and the main thread
# has a megabyte (stack_guard_gap of the kernel).
guard=$(($(sed -n 's/.*static let guardByteCount = \(.*\)/\1/p' Sources/LinuxSystem/Thread.swift)))
largest_frame() {
    objdump --disassemble --no-show-raw-insn --no-addresses "$1" |
        sed -nE 's/.*\<sub +\$(0x[0-9a-f]+),%rsp.*/\1/p; s/.*\<sub\s+sp, sp, #(0x[0-9a-f]+)(, lsl #12)?.*/\1\2/p' |
        sed 's/^0x\([0-9a-f]*\), lsl #12/0x\1000/' | sort -u | python3 -c '
import sys
print(max((int(line, 16) for line in sys.stdin), default=0))'
}

for program in litebased litebase; do
    file=$work/package/usr/bin/$program
    dynamic=$(readelf -dW "$file")
    echo "$dynamic" | grep -q 'FLAGS_1.* NOW.* PIE' || wrong "$program is not position independent, or bound lazily"
    echo "$dynamic" | grep -q 'RPATH\|RUNPATH' && wrong "$program looks for libraries in a place of its own"
    readelf -lW "$file" | grep -q GNU_RELRO || wrong "$program has relocations that stay writable"
    readelf -SW "$file" | grep -q '\.symtab\|\.debug_info' && wrong "$program is not stripped"
    unknown=$(needs_unknown "$program" "$file")
    [ -z "$unknown" ] || wrong "$program is linked with $unknown"
    frame=$(largest_frame "$file")
    [ "$frame" -gt 0 ] || wrong "$program: no frames were found"
    [ "$frame" -le "$guard" ] || wrong "$program has a function with a frame of $frame bytes, more than the $guard below a stack"
    # A third of the command line, for nothing (debian/patches), and the engine of regular expressions (Package.swift).
    debug=$(readelf --notes "$file" | sed -n 's/.*Build ID: \(..\)\(.*\)/\1\/\2/p')
    nm "$work/symbols/usr/lib/debug/.build-id/$debug.debug" >"$work/names"
    [ "$(wc -l <"$work/names")" -gt 10000 ] || wrong "$program: no symbols were found"
    grep -q 'FoundationEssentials\|17_StringProcessing' "$work/names" && wrong "$program has Foundation or _StringProcessing in it"
    # A function of ours, by name and line, from the package of symbols only.
    gdb --batch --nx -iex "set debuginfod enabled off" -iex "set debug-file-directory $work/symbols/usr/lib/debug" \
        -ex "info functions EventLoop" "$file" 2>/dev/null |
        grep -q '^File /usr/src/litebase-.*/Sources/LinuxSystem/EventLoop' || wrong "$program: gdb finds no source lines"
    echo "$program: $(stat -c %s "$file") bytes, largest frame $frame"
done
# The source package has all that the build needs; check-reproducible.sh builds it from that alone.
grep -q 'orig-swift-argument-parser\.tar\.' "$packages"/litebase_*.dsc || wrong "the source package lacks swift-argument-parser"
for package in "$packages"/litebase_*.deb; do
    field=$(dpkg-deb --field "$package" Static-Built-Using)
    for source in gcc tomlplusplus; do
        case " $field" in *" $source"*) ;; *) wrong "Static-Built-Using lacks $source: $field" ;; esac
    done
    # As dh_builddeb has made it: three members, all of them by dpkg-deb.
    members=$(ar t "$package" | tr '\n' ' ')
    [ "$members" = "debian-binary control.tar.xz data.tar.xz " ] || wrong "members of the package: $members"
done
# The driver for Python: every module of the tree and what makes it a package that others find, for no Python in particular.
modules=$work/python/usr/lib/python3/dist-packages
diff -r clients/python/src/litebase "$modules/litebase" --exclude=__pycache__ || wrong "python3-litebase differs from clients/python/src"
for file in METADATA RECORD entry_points.txt; do
    [ -s "$modules/litebase-$(dpkg-deb --field "$packages"/python3-litebase_*.deb Version | cut -d - -f 1).dist-info/$file" ] ||
        wrong "python3-litebase has no $file"
done
[ "$(dpkg-deb --field "$packages"/python3-litebase_*.deb Depends)" = python3:any ] || wrong "python3-litebase depends on more than Python"
other=$(find "$work/python" -type f ! -path "$modules/litebase/*" ! -path "$modules/litebase-*.dist-info/*" ! -path "*/share/doc/python3-litebase/*" \
    ! -path "*/share/lintian/overrides/python3-litebase")
[ -z "$other" ] || wrong "python3-litebase has $other"
find "$work/python" -name '*.pyc' | grep -q . && wrong "python3-litebase has what Python compiles at the installation"
# The driver for Node: what the compiler makes of the tree, whose tests are "make clients", and nothing else.
module=$work/node/usr/share/nodejs/litebase
/usr/bin/tsc -p clients/node --outDir "$work/compiled" && diff -r "$work/compiled" "$module/dist" || wrong "node-litebase differs from clients/node"
cmp clients/node/package.json "$module/package.json" || wrong "node-litebase has another package.json"
[ "$(dpkg-deb --field "$packages"/node-litebase_*.deb Depends)" = "nodejs (>= 18)" ] || wrong "node-litebase depends on more than Node"
other=$(find "$work/node" -type f ! -path "$module/dist/*" ! -path "$module/package.json" ! -path "*/share/doc/node-litebase/*")
[ -z "$other" ] || wrong "node-litebase has $other"
# The drivers for Go and Rust: their sources without what tests them, where Debian's other sources of libraries are.
module=$work/go/usr/share/gocode/src/github.com/litebase/litebase-go
diff -r --exclude='*_test.go' --exclude=tests --exclude=README.md clients/go "$module" || wrong "the driver for Go differs from clients/go"
other=$(find "$work/go" -type f ! -path "$module/*.go" ! -path "$module/go.mod" ! -path "*/share/doc/golang-github-litebase-litebase-go-dev/*")
[ -z "$other" ] || wrong "the package for Go has $other"
version=$(dpkg-deb --field "$packages"/librust-litebase-dev_*.deb Version)
crate=$work/rust/usr/share/cargo/registry/litebase-${version%-*}
diff -r --exclude=tests --exclude=rustfmt.toml --exclude=.gitignore --exclude=target --exclude=Cargo.lock --exclude=.cargo-checksum.json clients/rust "$crate" ||
    wrong "librust-litebase-dev differs from clients/rust"
[ "$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1])))' "$crate/.cargo-checksum.json")" = "{'files': {}}" ] ||
    wrong "cargo takes no crate without .cargo-checksum.json"
other=$(find "$work/rust" -type f ! -path "$crate/*" ! -path "*/share/doc/librust-litebase-dev/*")
[ -z "$other" ] || wrong "librust-litebase-dev has $other"
for name in librust-litebase+default-dev "librust-litebase-${version%.*}-dev" "librust-litebase-${version%-*}+default-dev"; do
    case ", $(dpkg-deb --field "$packages"/librust-litebase-dev_*.deb Provides)," in
        *", $name (= $version),"*) ;;
        *) wrong "librust-litebase-dev does not provide $name" ;;
    esac
done
for package in golang-github-litebase-litebase-go-dev librust-litebase-dev; do
    [ -z "$(dpkg-deb --field "$packages/$package"_*.deb Depends)" ] || wrong "$package depends on something"
done
# Nothing of the machine that built it.
find "$work/symbols" -name '*.debug' -exec objcopy --decompress-debug-sections {} \;
if grep -raqF "$(pwd)" "$work"; then wrong "a file contains $(pwd)"; fi
for package in "$packages"/*.deb; do echo "$(basename "$package"): $(stat -c %s "$package") bytes"; done
exit $status
