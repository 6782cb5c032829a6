#!/bin/sh
# Installs the Debian packages that are missing for purposes: build, test, system, power-loss, package or package-check.
set -eu

build="libsqlite3-dev libsystemd-dev libtomlplusplus-dev libedit-dev libpq-dev libmariadb-dev libhiredis-dev libxlsxwriter-dev pkg-config iso-codes netcat-openbsd python3"
test="postgresql libpq5 pgbouncer mariadb-server libmariadb3 redis-server libhiredis0.14 python3-venv iproute2 util-linux mount e2fsprogs gcc libc6-dev sqlite3 openssl systemd strace lsof netcat-openbsd iso-codes procps tmux mandoc man-db groff-base golang-go nodejs node-typescript cargo rustc rust-clippy rustfmt spin"
system="debootstrap systemd-container util-linux procps dpkg-dev python3-pytest python3-msgpack gcc libc6-dev sqlite3 lsof psmisc jq netcat-openbsd"
power_loss="libfuse3-dev pkg-config gcc libc6-dev e2fsprogs util-linux python3"
package="debhelper dh-python pybuild-plugin-pyproject python3-all python3-setuptools node-typescript dpkg-dev libc6-dev po-debconf git rsync systemd util-linux"
package_check="lintian gdb binutils python3"

wanted=""
for purpose in "${@:-build}"; do
    case "$purpose" in
        build) wanted="$wanted $build" ;;
        test) wanted="$wanted $build $test" ;;
        system) wanted="$wanted $system" ;;
        power-loss) wanted="$wanted $power_loss" ;;
        package) wanted="$wanted $build $package" ;;
        package-check) wanted="$wanted $build $package $package_check" ;;
        *) echo "usage: $0 build|test|system|power-loss|package|package-check..." >&2; exit 64 ;;
    esac
done

missing=""
for package in $(printf '%s\n' $wanted | sort -u); do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
done
[ -z "$missing" ] && exit 0

echo "installing:$missing"
as_root=""
[ "$(id -u)" = 0 ] || as_root="sudo"
# A server that the package would start is not wanted: the tests and benchmarks start their own.
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
# shellcheck disable=SC2086
$as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
