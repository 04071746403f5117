#!/usr/bin/env bash
# Delivers to Debian's Prometheus, Pushgateway and VictoriaMetrics, run as separate programs, also through an outage and from
# behind a NAT, and asks its PostgreSQL and MariaDB: deploy/e2e/run.sh bin/cton [-run TestOutage …]
set -euo pipefail
cton=$(realpath "${1:?the binary to test, such as bin/cton}")
shift
cd "$(dirname "$0")/../.."

apt() { apt-get -q -y -o APT::Sandbox::User=root "$@"; }
download() { apt download "$1"; }

# peer NAME prints the path of a peer's program. One that is not installed is unpacked below bin/: nothing is installed, so
# that no package starts a service of its own.
peer() {
	command -v "$1" && return
	local dir="bin/debian" deb
	mkdir -p "$dir"
	if [ ! -x "$dir/usr/bin/$1" ]; then
		(cd "$dir" && { download "$1" || { apt update && download "$1"; }; }) >&2
		for deb in "$dir/$1"_*.deb; do dpkg-deb -x "$deb" "$dir"; done
		rm -f "$dir"/*.deb
	fi
	realpath "$dir/usr/bin/$1"
}

# unpack DIR PACKAGE… unpacks packages below bin/debian with the libraries that the system lacks. apt wants root for it.
unpack() {
	local dir="bin/debian/$1" deb
	shift
	mkdir -p "$dir/archives/partial"
	apt -o "Dir::Cache::archives=$PWD/$dir/archives" --download-only --no-install-recommends install "$@"
	for deb in "$dir"/archives/*.deb; do dpkg-deb -x "$deb" "$dir"; done
	rm -rf "$dir/archives"
}

# network makes ip and nft available. Only root has a use for them.
network() {
	local dir="bin/debian/network"
	if [ "$(id -u)" != 0 ] || { command -v ip && command -v nft; } >/dev/null; then return; fi
	if [ ! -x "$dir/usr/sbin/nft" ]; then unpack network iproute2 nftables; fi
	dir=$(realpath "$dir")
	export PATH="$PATH:$dir/bin:$dir/sbin:$dir/usr/bin:$dir/usr/sbin"
	LD_LIBRARY_PATH=$(echo "$dir"/{lib,usr/lib}/*-linux-gnu* | tr ' ' ':')
	export LD_LIBRARY_PATH
}

# databases finds PostgreSQL and MariaDB, or unpacks them. Without root their tests are left out where they are not there.
databases() {
	local dir="bin/debian/databases"
	postgres() { { ls -d /usr/lib/postgresql/*/bin "$PWD/$dir"/usr/lib/postgresql/*/bin 2>/dev/null || true; } | tail -n 1; }
	if [ "$(id -u)" = 0 ] && { [ -z "$(postgres)" ] || [ ! -x "$dir/usr/sbin/mariadbd" ]; }; then
		unpack databases postgresql mariadb-server-core
	fi
	POSTGRES=$(postgres)
	MARIADB=$PWD/$dir/usr
	DATABASE_LIBRARIES=$(echo "$PWD/$dir"/{lib,usr/lib}/*-linux-gnu* | tr ' ' ':')
	export POSTGRES MARIADB DATABASE_LIBRARIES
}

CTON=$cton
PROMETHEUS=$(peer prometheus)
PUSHGATEWAY=$(peer prometheus-pushgateway)
VICTORIAMETRICS=$(peer victoria-metrics)
export CTON PROMETHEUS PUSHGATEWAY VICTORIAMETRICS
network
databases
exec go test -tags e2e -count=1 -v -timeout 8m -parallel 3 ./deploy/e2e "$@"
