#!/bin/sh
# Checks the packages that scripts/build-deb.sh made: lintian, hardening, libraries, debugging symbols.
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
lintian --allow-root --pedantic --display-info --display-experimental \
    --fail-on error,warning,info,pedantic,experimental "$packages"/*.changes || wrong "lintian"

for package in "$packages"/*.deb; do
    case $package in
        *-dbgsym_*) dpkg-deb -x "$package" "$work/symbols" ;;
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

for program in litebased litebase; do
    file=$work/package/usr/bin/$program
    dynamic=$(readelf -dW "$file")
    echo "$dynamic" | grep -q 'FLAGS_1.* NOW.* PIE' || wrong "$program is not position independent, or bound lazily"
    echo "$dynamic" | grep -q 'RPATH\|RUNPATH' && wrong "$program looks for libraries in a place of its own"
    readelf -lW "$file" | grep -q GNU_RELRO || wrong "$program has relocations that stay writable"
    readelf -SW "$file" | grep -q '\.symtab\|\.debug_info' && wrong "$program is not stripped"
    unknown=$(needs_unknown "$program" "$file")
    [ -z "$unknown" ] || wrong "$program is linked with $unknown"
    # A function of ours, by name and line, from the package of symbols only.
    gdb --batch --nx -iex "set debuginfod enabled off" -iex "set debug-file-directory $work/symbols/usr/lib/debug" \
        -ex "info functions EventLoop" "$file" 2>/dev/null |
        grep -q '^File /usr/src/litebase-.*/Sources/LinuxSystem/EventLoop' || wrong "$program: gdb finds no source lines"
    echo "$program: $(stat -c %s "$file") bytes"
done
# Nothing of the machine that built it.
find "$work/symbols" -name '*.debug' -exec objcopy --decompress-debug-sections {} \;
if grep -raqF "$(pwd)" "$work"; then wrong "a file contains $(pwd)"; fi
for package in "$packages"/*.deb; do echo "$(basename "$package"): $(stat -c %s "$package") bytes"; done
exit $status
