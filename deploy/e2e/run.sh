#!/usr/bin/env bash
# Delivers to Debian's Prometheus, Pushgateway and VictoriaMetrics, run as separate programs, also through an outage:
# deploy/e2e/run.sh bin/cton [-run TestOutage …]
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

CTON=$cton
PROMETHEUS=$(peer prometheus)
PUSHGATEWAY=$(peer prometheus-pushgateway)
VICTORIAMETRICS=$(peer victoria-metrics)
export CTON PROMETHEUS PUSHGATEWAY VICTORIAMETRICS
exec go test -tags e2e -count=1 -v -timeout 8m -parallel 3 ./deploy/e2e "$@"
