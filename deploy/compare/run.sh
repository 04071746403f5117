#!/usr/bin/env bash
# Compares a binary with its peers:
#   deploy/compare/run.sh bin/cton [flags of deploy/compare, such as -only api]
#
# Prometheus and vmagent of Debian are unpacked below bin/debian, see deploy/e2e/debian.sh, unless PROMETHEUS_BIN and VMAGENT_BIN
# name other binaries. Telegraf is measured if TELEGRAF_BIN names its binary or it is installed.
set -euo pipefail
exec </dev/null
cton=$(realpath "${1:?usage: deploy/compare/run.sh BINARY [flags of deploy/compare]}")
shift
cd "$(dirname "$0")/../.."
if [ -z "${PROMETHEUS_BIN-}" ] || [ -z "${VMAGENT_BIN-}" ]; then
	. deploy/e2e/debian.sh
	PROMETHEUS_BIN=${PROMETHEUS_BIN:-$(peer prometheus)}
	VMAGENT_BIN=${VMAGENT_BIN:-$(dirname "$(peer victoria-metrics)")/vmagent}
	export PROMETHEUS_BIN VMAGENT_BIN
fi
exec go run ./deploy/compare -cton "$cton" "$@"
