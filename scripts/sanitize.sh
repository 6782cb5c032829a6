#!/bin/sh
# Passes all tests with a sanitizer: the Swift ones, and the black-box ones against programs that were built with it.
#
#   scripts/sanitize.sh address                              leaks of the programs included
#   scripts/sanitize.sh thread -k "cancel or sessions"       the black-box tests that pytest selects
#   LITEBASE_TEST_ROUNDS=50 scripts/sanitize.sh thread --swift LaneRings
#                                                            only the Swift tests of that name: here 10 M steps of a peer
#                                                            that scribbles into the memory that it shares
#
# Reports are left in .build-asan/reports or .build-tsan/reports; one of them is a failure. What is known to be none is in
# Tests/Sanitizers, with the reason. Programs are some ten times slower than in a release: LITEBASE_TEST_PATIENCE is the
# factor for waiting.
set -eu
cd "$(dirname "$0")/.."

sanitizer=${1:-}
case $sanitizer in
address) build=$PWD/.build-asan ;;
thread) build=$PWD/.build-tsan ;;
*)
    echo "usage: sanitize.sh address|thread [--swift NAME | PYTEST ARGUMENT...]" >&2
    exit 64
    ;;
esac
shift
filter=
if [ "${1:-}" = --swift ]; then
    filter=${2:?the name of Swift tests has to follow --swift}
    shift 2
fi
reports=$build/reports

swift build --build-tests --sanitize="$sanitizer" --scratch-path "$build"
rm -rf "$reports"
mkdir -p "$reports"

# Swift's own backtracer would start at a report, and does not come to an end under a sanitizer.
export SWIFT_BACKTRACE=enable=no
export ASAN_OPTIONS="log_path=$reports/address:detect_leaks=1"
export LSAN_OPTIONS="suppressions=$PWD/Tests/Sanitizers/leak.supp:print_suppressions=0"
export TSAN_OPTIONS="log_path=$reports/thread:history_size=4:exitcode=66"

export LITEBASE_TEST_PATIENCE="${LITEBASE_TEST_PATIENCE:-10}"

# What the programs do with Swift's Mutex, thread sanitizer has to be told.
if [ "$sanitizer" = thread ]; then
    "$(dirname "$(realpath "$(command -v swift)")")/clang" -Wall -Wextra -Werror -shared -fPIC -O1 \
        -o "$build/mutexes.so" Tests/Sanitizers/mutexes.c
    export LD_PRELOAD="$build/mutexes.so"
fi

# The Swift tests leave drivers and loops behind when they end, which is no leak of the daemon's.
ASAN_OPTIONS="$ASAN_OPTIONS:detect_leaks=0" \
    swift test --skip-build --parallel --sanitize="$sanitizer" --scratch-path "$build" ${filter:+--filter "$filter"}

status=0
[ -n "$filter" ] || LITEBASED=$build/debug/litebased LITEBASE=$build/debug/litebase \
    LITEBASE_TEST_SANITIZER=$sanitizer \
    .venv/bin/python -m pytest -q Tests/Protocol Tests/CommandLine "$@" || status=$?

if [ -n "$(ls "$reports")" ]; then
    cat "$reports"/* >&2
    echo "sanitize: $(ls "$reports" | wc -l) reports of $sanitizer sanitizer in $reports" >&2
    exit 1
fi
exit "$status"
