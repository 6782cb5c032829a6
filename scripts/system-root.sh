#!/bin/sh
# Makes the root file system that scripts/system-test.sh boots, once, and prints its path. It lives outside the tree and is
# made again when this file changes: the checksum of the recipe is part of its name.
set -eu

cache=${LITEBASE_TEST_CACHE:-/var/cache/litebase-test}
mirror=${LITEBASE_TEST_MIRROR:-http://deb.debian.org/debian}
recipe=$(sha256sum "$0" | cut -c1-12)
root="$cache/root-$recipe"

# What boots, what the package depends on (its installation needs no network then), and what the tests use inside.
packages="systemd systemd-sysv dbus dbus-user-session libpam-systemd
libsqlite3-0 libedit2 libbsd0 libpq5 libmariadb3 libhiredis0.14
postgresql mariadb-server redis-server
python3 python3-msgpack nodejs golang-go cargo gcc libc6-dev strace man-db procps iproute2 util-linux"

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
if [ ! -e "$root/.complete" ]; then
    for old in "$cache"/root-*; do
        # A machine that runs at this moment may stand on it.
        grep -q "lowerdir=$old," /proc/mounts || rm -rf "$old"
    done
    echo "making the root file system $root" >&2
    debootstrap --variant=minbase --include="$(echo $packages | tr ' ' ',')" bookworm "$root" "$mirror" \
        >"$cache/debootstrap.log" 2>&1 || {
        tail -20 "$cache/debootstrap.log" >&2
        exit 1
    }
    rm -f "$root"/var/cache/apt/archives/*.deb "$root/etc/machine-id"
    systemd-machine-id-setup --root="$root" >/dev/null 2>&1
    echo litebase-test >"$root/etc/hostname"
    # Servers run for the tests that start them.
    chroot "$root" systemctl --quiet disable postgresql.service mariadb.service mariadb.socket \
        redis-server.service
    # Not wanted inside: they wait for a network, a clock or a console, and "is-system-running" would say degraded.
    for unit in systemd-firstboot.service console-getty.service getty.target systemd-networkd-wait-online.service systemd-timesyncd.service \
        systemd-resolved.service e2scrub_reap.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
        e2scrub_all.timer fstrim.timer man-db.timer; do
        ln -sf /dev/null "$root/etc/systemd/system/$unit"
    done
    # One place for the whole journal, on disk, without a limit on the rate: the tests count its lines.
    mkdir -p "$root/var/log/journal" "$root/etc/systemd/journald.conf.d"
    printf '[Journal]\nStorage=persistent\nRateLimitBurst=0\n' >"$root/etc/systemd/journald.conf.d/test.conf"
    chroot "$root" useradd --create-home --shell /bin/bash member
    chroot "$root" useradd --create-home --shell /bin/bash stranger
    touch "$root/.complete"
fi
echo "$root"
