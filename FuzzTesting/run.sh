#!/bin/sh
# Builds the fuzzers with address sanitizer and runs each for SECONDS (60), or only those that are named.
#
#   FuzzTesting/run.sh 120
#   FuzzTesting/run.sh 600 FuzzJSON
#
# New inputs that reach new code stay in .build/corpus/. An input that fails lands in FailCases/, to be committed with the
# fix: the ordinary tests replay it for ever.
set -eu
cd "$(dirname "$0")"
seconds=${1:-60}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- FuzzFrames FuzzJSON FuzzMessagePack

# Swift's own backtracer hangs under libFuzzer.
export SWIFT_BACKTRACE=enable=no
# The compiler heeds only the last -sanitize option, and gold loses most of the coverage counters.
swift build -c release --sanitize fuzzer --sanitize address -Xswiftc -sanitize=fuzzer,address -Xswiftc -use-ld=lld

for fuzzer in "$@"; do
    case $fuzzer in
    FuzzFrames) seeds=frames dictionary=messagepack ;;
    FuzzJSON) seeds=json dictionary=json ;;
    FuzzMessagePack) seeds=messagepack dictionary=messagepack ;;
    *)
        echo "run.sh: no fuzzer is called $fuzzer" >&2
        exit 64
        ;;
    esac
    corpus=.build/corpus/$seeds
    mkdir -p "$corpus" "FailCases/$seeds"
    echo "== $fuzzer, $seconds s"
    log=.build/$fuzzer.log
    # A frame is bounded by its own limit; what a parser may allocate for 4 KiB is bounded here.
    if ! ".build/release/$fuzzer" -max_total_time="$seconds" -max_len=4096 -timeout=5 -rss_limit_mb=512 \
        -malloc_limit_mb=8 -dict="$dictionary.dict" -artifact_prefix="FailCases/$seeds/" -print_final_stats=1 \
        "$corpus" "Seeds/$seeds" >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        echo "run.sh: $fuzzer failed; its input is in FuzzTesting/FailCases/$seeds/" >&2
        exit 1
    fi
    grep -E '^(Done|stat::)' "$log"
done
