#!/usr/bin/env bash
# Tests a binary with Debian's Prometheus, Pushgateway, VictoriaMetrics, PostgreSQL and MariaDB as separate programs:
#   deploy/e2e/run.sh bin/cton [flags for go test, such as -run TestOutage]
#
# A program that is not installed is downloaded from Debian and unpacked below bin/debian. Nothing is installed: no package
# starts a service or changes the system, and a second run downloads nothing. It asks no questions. Each download ends
# after 5 minutes at most, the tests after 8.
set -euo pipefail
exec </dev/null
cton=$(realpath "${1:?usage: deploy/e2e/run.sh BINARY [flags for go test]}")
shift
cd "$(dirname "$0")/../.."
command -v apt-get dpkg-deb >/dev/null || { echo "deploy/e2e/run.sh needs a Debian system: there is no apt-get" >&2; exit 1; }
debian=$PWD/bin/debian
mkdir -p "$debian"

apt() {
	DEBIAN_FRONTEND=noninteractive timeout -k 10 300 apt-get -q -y -o APT::Sandbox::User=root -o DPkg::Lock::Timeout=120 \
		-o Acquire::Retries=3 -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30 "$@" >&2
}

# fetch COMMAND… runs apt with a command that downloads. The package lists are updated if it fails with those that are there.
fetch() { apt "$@" || { apt update && apt "$@"; }; }

# unpack NAME COMMAND… downloads packages with a command of apt and unpacks them into $debian/NAME. The directory appears when
# it is complete.
unpack() {
	local dir=$debian/$1 new=$debian/$1.new deb
	shift
	rm -rf "$new"
	mkdir -p "$new/archives/partial"
	(cd "$new/archives" && fetch -o "Dir::Cache::archives=$new/archives" "$@")
	for deb in "$new"/archives/*.deb; do dpkg-deb -x "$deb" "$new"; done
	rm -rf "$new/archives" "$dir"
	mv "$new" "$dir"
}

# unpack_all NAME PACKAGE… also unpacks those dependencies that the system lacks. Only root can do that.
unpack_all() { unpack "$1" --download-only --no-install-recommends install "${@:2}"; }

# libraries NAME prints the library path of $debian/NAME.
libraries() { echo "$debian/$1"/{lib,usr/lib}/*-linux-gnu* | tr ' ' ':'; }

# peer PROGRAM prints the path of a program that has the name of its package and needs no libraries but those of every system.
peer() {
	command -v "$1" && return
	[ -x "$debian/$1/usr/bin/$1" ] || unpack "$1" download "$1"
	echo "$debian/$1/usr/bin/$1"
}

# network puts ip and nft on the PATH. Only root can use them.
network() {
	local dir=$debian/network
	if [ "$(id -u)" != 0 ] || { command -v ip && command -v nft; } >/dev/null; then return; fi
	[ -d "$dir" ] || unpack_all network iproute2 nftables
	export PATH="$PATH:$dir/bin:$dir/sbin:$dir/usr/bin:$dir/usr/sbin"
	LD_LIBRARY_PATH=$(libraries network)
	export LD_LIBRARY_PATH
}

# databases finds PostgreSQL and MariaDB. Only root can unpack them, since they need libraries: without root, the tests of a
# database that is not installed are skipped.
databases() {
	local dir=$debian/databases
	postgres() { { ls -d "${1-}"/usr/lib/postgresql/*/bin 2>/dev/null || true; } | sort -V | tail -n 1; }
	POSTGRES=$(postgres) MARIADB=/usr DATABASE_LIBRARIES=
	if [ -z "$POSTGRES" ] || [ ! -x /usr/sbin/mariadbd ]; then
		if [ "$(id -u)" = 0 ] && [ ! -d "$dir" ]; then unpack_all databases postgresql mariadb-server-core; fi
		[ -n "$POSTGRES" ] || POSTGRES=$(postgres "$dir")
		[ -x /usr/sbin/mariadbd ] || MARIADB=$dir/usr
		DATABASE_LIBRARIES=$(libraries databases)
	fi
	export POSTGRES MARIADB DATABASE_LIBRARIES
}

CTON=$cton
PROMETHEUS=$(peer prometheus)
PUSHGATEWAY=$(peer prometheus-pushgateway)
VICTORIAMETRICS=$(peer victoria-metrics)
export CTON PROMETHEUS PUSHGATEWAY VICTORIAMETRICS
network
databases
echo "everything is in place after $SECONDS s" >&2
exec go test -tags e2e -count=1 -v -timeout 10m -parallel 3 ./deploy/e2e "$@"
