#!/bin/sh
# Builds the fuzzers with address sanitizer and runs each for SECONDS (60), or only those that are named.
#
#   FuzzTesting/run.sh 120
#   FuzzTesting/run.sh 600 FuzzJSON
#   RUNS=10000000 FuzzTesting/run.sh 0      by number instead of by time
#   FuzzTesting/run.sh minimise             makes Corpus/ of what .build/corpus/ has found: few small inputs, the same code
#
# New inputs that reach new code stay in .build/corpus/. An input that fails lands in FailCases/, to be committed with the
# fix: the ordinary tests replay it for ever.
set -eu
cd "$(dirname "$0")"
seconds=${1:-60}
[ $# -gt 0 ] && shift
all="FuzzFrames FuzzJSON FuzzMessagePack FuzzReplies FuzzHandover FuzzSettings FuzzAddresses FuzzStatements FuzzCommands FuzzCluster FuzzScanner FuzzCompletion FuzzCatalog FuzzRows FuzzArrow FuzzTable"
# shellcheck disable=SC2086
[ $# -gt 0 ] || set -- $all
limit=-max_total_time=$seconds
# A fifth of the time of many runs goes into choosing the inputs with rare edges (by a profile of FuzzCompletion).
[ -z "${RUNS:-}" ] || limit="-runs=$RUNS -entropic=0"

# Swift's own backtracer hangs under libFuzzer.
export SWIFT_BACKTRACE=enable=no
# Memory that was freed is kept back, so that its use is noticed: 16 MB of it fit into the caches, 256 do not.
export ASAN_OPTIONS="quarantine_size_mb=16:malloc_context_size=6${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
# The compiler heeds only the last -sanitize option, and gold loses most of the coverage counters.
swift build -c release --sanitize fuzzer --sanitize address -Xswiftc -sanitize=fuzzer,address -Xswiftc -use-ld=lld \
    -Xswiftc -enable-testing

# One small input for each edge that is reached: some hundreds, well under 500 KB for each fuzzer.
minimise() {
    rm -rf ".build/minimised"
    mkdir -p ".build/minimised"
    ".build/release/$fuzzer" -merge=1 -use_counters=0 -max_len=512 "$@" .build/minimised "Corpus/$seeds" "$corpus" >"$log" 2>&1
    rm -rf "Corpus/$seeds"
    mv .build/minimised "Corpus/$seeds"
    echo "$fuzzer: $(ls "Corpus/$seeds" | wc -l) inputs, $(du -sb "Corpus/$seeds" | cut -f1) bytes"
}

fuzzers=$*
for fuzzer in $fuzzers; do
    leaks=1
    case $fuzzer in
    FuzzFrames) seeds=frames dictionary=messagepack length=4096 ;;
    FuzzJSON) seeds=json dictionary=json length=4096 ;;
    FuzzMessagePack) seeds=messagepack dictionary=messagepack length=4096 ;;
    FuzzReplies) seeds=replies dictionary=messagepack length=4096 ;;
    FuzzHandover) seeds=handover dictionary= length=6200 ;;
    FuzzSettings) seeds=settings dictionary=settings length=2048 ;;
    FuzzAddresses) seeds=addresses dictionary= length=300 ;;
    FuzzStatements) seeds=statements dictionary=statements length=1024 ;;
    FuzzRows) seeds=rows dictionary= length=1024 ;;
    FuzzArrow) seeds=arrow dictionary= length=2048 ;;
    FuzzTable) seeds=table dictionary= length=1024 ;;
    FuzzCatalog) seeds=catalog dictionary= length=1024 ;;
    FuzzScanner) seeds=scanner dictionary=statements length=512 ;;
    # The patterns of statements stay for ever. A pointer to a node of an indirect enumeration has the case in its spare bits, where leak
    # sanitizer finds no pointer: it reports all of them.
    FuzzCompletion) seeds=completion dictionary=statements length=256 leaks=0 ;;
    FuzzCommands) seeds=commands dictionary=statements length=1024 ;;
    FuzzCluster) seeds=cluster dictionary=cluster length=1024 ;;
    *)
        echo "run.sh: no fuzzer is called $fuzzer" >&2
        exit 64
        ;;
    esac
    corpus=.build/corpus/$seeds
    log=.build/$fuzzer.log
    mkdir -p "$corpus" "Corpus/$seeds" "FailCases/$seeds"
    # A frame is bounded by its own limit; what a parser may allocate for 4 KiB is bounded here.
    set -- -timeout=20 -rss_limit_mb=1024 -malloc_limit_mb=8 -artifact_prefix="FailCases/$seeds/" -print_final_stats=1 \
        -detect_leaks=$leaks
    [ -z "$dictionary" ] || set -- "$@" "-dict=$dictionary.dict"
    if [ "$seconds" = minimise ]; then
        minimise "$@"
        continue
    fi
    echo "== $fuzzer, ${RUNS:-$seconds s}"
    # shellcheck disable=SC2086
    if ! ".build/release/$fuzzer" $limit -max_len="$length" "$@" "$corpus" "Seeds/$seeds" "Corpus/$seeds" \
        >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        echo "run.sh: $fuzzer failed; its input is in FuzzTesting/FailCases/$seeds/" >&2
        exit 1
    fi
    grep -E '^(Done|stat::)' "$log"
done
