#!/usr/bin/env bash
# Tests a binary together with separate programs from Debian: Prometheus, node_exporter, Pushgateway, VictoriaMetrics, PostgreSQL,
# MariaDB, Chromium and the Python client of Prometheus:
#   deploy/e2e/run.sh bin/cton [flags for go test, such as -run TestOutage]
#
# Programs that are not installed are unpacked below bin/debian, see debian.sh. The tests end after 20 minutes at most.
set -euo pipefail
exec </dev/null
cton=$(realpath "${1:?usage: deploy/e2e/run.sh BINARY [flags for go test]}")
shift
cd "$(dirname "$0")/../.."
. deploy/e2e/debian.sh

# network puts ip and nft on the PATH. Only root can use them.
network() {
	local dir=$debian/network
	if [ "$(id -u)" != 0 ] || { command -v ip && command -v nft; } >/dev/null; then return; fi
	[ -d "$dir" ] || unpack_all network iproute2 nftables
	export PATH="$PATH:$dir/bin:$dir/sbin:$dir/usr/bin:$dir/usr/sbin"
	LD_LIBRARY_PATH=$(libraries network)
	export LD_LIBRARY_PATH
}

# databases finds PostgreSQL and MariaDB, or unpacks them. Only root can unpack them, since they need other packages. Without root, the
# tests of a database that is not installed are skipped.
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

# python prints the directory of the Python client of Prometheus.
python() {
	local packages=usr/lib/python3/dist-packages
	[ -d "$debian/python/$packages" ] || unpack python download python3-prometheus-client python3-decorator
	echo "$debian/python/$packages"
}

# browser finds Chromium, or unpacks it. Only root can unpack it, since it needs other packages. Without root, and if Chromium is not
# installed, its tests are skipped.
browser() {
	local dir=$debian/chromium
	CHROMIUM=$(command -v chromium || true) CHROMIUM_LIBRARIES=
	if [ -z "$CHROMIUM" ]; then
		if [ "$(id -u)" = 0 ] && [ ! -d "$dir" ]; then unpack_all chromium chromium fonts-dejavu-core; fi
		CHROMIUM=$dir/usr/lib/chromium/chromium
		CHROMIUM_LIBRARIES=$(libraries chromium):$(echo "$dir"/usr/lib/*-linux-gnu*/pulseaudio):$dir/usr/lib/chromium
		[ -x "$CHROMIUM" ] || CHROMIUM=
	fi
	export CHROMIUM CHROMIUM_LIBRARIES
}

# axe finds axe-core, rules of accessibility that run in a page, as npm has it. Without npm or its registry, the test uses
# Chromium's own accessibility tree alone, and says so.
axe() {
	local name=axe-core-4.14.1 sum=1477dafa598d8d065f273d6af302aa203c02e83131707b7fa648cd41bd3d6b734f8c22a0dab86ee6a6f64b8afbe804b214d36db85a2826965edfb3a0b9d546b5
	local dir=$debian/axe
	AXE=$dir/$name.js
	export AXE
	if [ -f "$AXE" ]; then return; fi
	mkdir -p "$dir"
	if (cd "$dir" && timeout -k 10 120 npm pack --silent "${name%-*}@${name##*-}" && echo "$sum  $name.tgz" | sha512sum --check) >&2; then
		tar -xzf "$dir/$name.tgz" -O package/axe.min.js >"$AXE.new"
		mv "$AXE.new" "$AXE"
	else
		AXE=
	fi
}

CTON=$cton
PROMETHEUS=$(peer prometheus)
PUSHGATEWAY=$(peer prometheus-pushgateway)
VICTORIAMETRICS=$(peer victoria-metrics)
NODE_EXPORTER=$(peer prometheus-node-exporter)
PYTHON_CLIENT=$(python)
export CTON PROMETHEUS PUSHGATEWAY VICTORIAMETRICS NODE_EXPORTER PYTHON_CLIENT
network
databases
browser
axe
echo "everything is in place after $SECONDS s" >&2
exec go test -tags e2e -count=1 -v -timeout 20m -parallel 3 ./deploy/e2e "$@"
