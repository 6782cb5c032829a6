#!/bin/sh
# Writes packaging/functions.order: the functions that run from the start to the first reply, in their order.
#
#   scripts/make-function-order.sh LITEBASED     an unstripped litebased of a release build; needs valgrind
#
# The linker puts them side by side (release.mk), so that an idle daemon has 1.5 MB less of its program in memory.
# Symbols that are not there are passed over: an old list costs memory, never a build. Renew it after changes to the
# start, or with a new compiler.
set -eu
cd "$(dirname "$0")/.."
program=$(realpath "$1")
work=$(mktemp -d)
daemon=
trap '[ -z "$daemon" ] || kill "$daemon" 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# valgrind 3.19 does not understand all of the debugging information, and needs none.
strip -g -o "$work/litebased" "$program"
STATE_DIRECTORY=$work valgrind --tool=callgrind --demangle=no --callgrind-out-file="$work/profile" \
    "$work/litebased" --listen=standalone --socket="$work/socket" 2>"$work/log" &
daemon=$!
tries=0
until python3 - "$work/socket" 2>/dev/null <<'CLIENT'
import socket, sys
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
client.sendall(b'{"id":1,"type":"health_check"}\n')
assert b"health_response" in client.recv(4096)
client.sendall(b'\0\0\0\x17\x82\xa2id\x01\xa4type\xachealth_check')
CLIENT
do
    tries=$((tries + 1))
    [ "$tries" -lt 300 ] || { cat "$work/log" >&2; exit 1; }
    sleep 0.1
done
kill -TERM "$daemon"
wait "$daemon" || { cat "$work/log" >&2; exit 1; }
daemon=

python3 - "$work/profile" >packaging/functions.order <<'NAMES'
"""The functions of the program itself, in the order of callgrind's file (the format is in valgrind's manual)."""
import re, sys

objects, functions, seen, current = {}, {}, set(), None
for line in open(sys.argv[1]):
    if match := re.match(r"(c?)ob=\((\d+)\)(?: (.*))?", line):
        if match[3]:
            objects[match[2]] = match[3]
        if not match[1]:
            current = match[2]
    elif match := re.match(r"(c?)fn=\((\d+)\)(?: (.*))?", line):
        if match[3]:
            functions[match[2]] = match[3]
        name = re.sub(r"'\d+$", "", functions[match[2]])
        # lintian takes longer lines for generated code; few names are.
        if len(name) > 400:
            continue
        if not match[1] and objects[current].endswith("/litebased") and re.fullmatch(r"[\w$.]+", name) and name not in seen:
            seen.add(name)
            print(name)
NAMES
wc -l packaging/functions.order
