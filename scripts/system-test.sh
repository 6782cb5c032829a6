#!/bin/bash
# Passes the system tests: boots a Debian with a real systemd in a container, installs the .deb, and runs Tests/System.
# The same by hand and in CI. Everything that it makes is removed again, also after Ctrl-C.
#
#   scripts/system-test.sh [PYTEST ARGUMENT...]      for example: -k restart -x
#   scripts/system-test.sh --shell                   a shell in the machine instead of the tests
#
#   LITEBASE_DEB=PATH          install this package instead of building one; those of the drivers, of that version, lie beside it
#   LITEBASE_TEST_SCALE=0.1    a tenth of the rounds, for quick runs by hand
#   LITEBASE_TEST_CACHE=DIR    where the root file system is kept (/var/cache/litebase-test)
#   LITEBASE_TEST_WORK=DIR     where the machine's changes to it are kept (beside it); /dev/shm takes the disk out of the run
#   LITEBASE_TEST_MIRROR=URL   where its packages come from (http://deb.debian.org/debian)
#   LITEBASE_TEST_SEED=N       the seed of the load
#   LITEBASE_TEST_RESULTS=DIR  where reports, and journals of failures, are left (.build/system-test)
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "system-test: $*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || fail "needs root, because systemd-nspawn does: sudo $0"
scripts/install-dependencies.sh system
[ -e /sys/fs/cgroup ] || fail "needs a kernel with control groups: without /sys/fs/cgroup systemd-nspawn cannot boot"

results=$(realpath -m "${LITEBASE_TEST_RESULTS:-.build/system-test}")
rm -rf "$results"
mkdir -p "$results"

deb=${LITEBASE_DEB:-}
if [ -z "$deb" ]; then
    scripts/build-deb.sh
    deb=$(ls -t .build/deb/litebase_*.deb | head -1)
fi
[ -f "$deb" ] || fail "no package at $deb"
deb=$(realpath "$deb")

base=$(scripts/system-root.sh)
work=$(mktemp -d "${LITEBASE_TEST_WORK:-$(dirname "$base")}/run-XXXXXX")
root="$work/root"
nspawn="" leader=""

inside() {
    nsenter --target "$leader" --mount --uts --ipc --net --pid --cgroup --root --wd -- \
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME=/root TERM="${TERM:-dumb}" "$@"
}

cleanup() {
    status=$?
    trap - EXIT INT TERM
    if [ -n "$leader" ] && [ "$status" -ne 0 ]; then
        inside journalctl --no-pager -o short-precise -b >"$results/journal.txt" 2>/dev/null || true
        cp "$work/console.txt" "$results/" 2>/dev/null || true
        echo "system-test: journals of the failure are in $results" >&2
    fi
    if [ -n "$nspawn" ] && kill -0 "$nspawn" 2>/dev/null; then
        # SIGKILL to the machine's process 1 ends all its processes at once.
        [ -z "$leader" ] || kill -KILL "$leader" 2>/dev/null || true
        timeout 10 tail --pid="$nspawn" -f /dev/null || kill -KILL "$nspawn" 2>/dev/null || true
        wait "$nspawn" 2>/dev/null || true
    fi
    mountpoint -q "$root" && umount --lazy "$root"
    rm -rf "$work"
    # Groups can be removed from the leaves on, when their processes are gone.
    for group in "${groups[@]:-}"; do
        [ -z "$group" ] || find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
    done
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# A copy of the root for this run: an overlay where the file system can carry one, else a real copy.
mkdir -p "$root" "$work/upper" "$work/overlay"
mount -t overlay overlay -o "lowerdir=$base,upperdir=$work/upper,workdir=$work/overlay" "$root" 2>/dev/null ||
    cp -a --reflink=auto "$base/." "$root/"

# A control group of its own: two machines on one host would share theirs, and remove each other's.
groups=()
for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
    group="$hierarchy/litebase-test-$$"
    if [ -e "$hierarchy/cgroup.procs" ] && mkdir "$group" 2>/dev/null; then groups+=("$group"); fi
done
in_own_group() {
    for group in "${groups[@]}"; do echo "$BASHPID" >"$group/cgroup.procs"; done
    exec "$@"
}

# A network of its own: only the loopback device, so that nothing outside can help or disturb.
in_own_group setsid systemd-nspawn --quiet --directory="$root" --boot --register=no --keep-unit --private-network \
    --machine="litebase-$$" --console=pipe </dev/null >"$work/console.txt" 2>&1 &
nspawn=$!

tries=0
until leader=$(pgrep -P "$nspawn" -o) && inside systemctl is-system-running --quiet 2>/dev/null; do
    tries=$((tries + 1))
    if ! kill -0 "$nspawn" 2>/dev/null || [ "$tries" -gt 300 ]; then
        tail -20 "$work/console.txt" >&2
        [ -z "$leader" ] || inside systemctl --no-pager --failed >&2 || true
        fail "the machine did not boot; systemd-nspawn needs root, mount namespaces and a cgroup hierarchy named systemd"
    fi
    sleep 0.1
done

export LITEBASE_MACHINE_LEADER="$leader" LITEBASE_MACHINE_ROOT="$root" LITEBASE_DEB="$deb" LITEBASE_TEST_RESULTS="$results"
if [ "${1:-}" = --shell ]; then
    cp "$deb" "$root/root/"
    inside bash -il || true
    exit 0
fi
python=${PYTHON:-/usr/bin/python3}
"$python" scripts/pass-tests.py "$python" -m pytest -q Tests/System "$@"
