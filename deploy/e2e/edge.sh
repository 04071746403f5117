#!/usr/bin/env bash
# Runs node_exporter and an agent as the edge guide has them, on a copy of this system whose root is read-only:
#   unshare --mount --pid --fork deploy/e2e/edge.sh CTON NODE_EXPORTER CONFIG CA.pem
#
# Only /var/lib/cton can be written. Reads commands from standard input: kill kills the agent and starts it again; stop ends it in order.
set -euo pipefail
cton=$1 exporter=$2 config=$3 ca=$4
. "$(dirname "$0")/copy.sh"
mkdir -p "$root/etc/cton" "$root/var/lib/cton"
cp "$cton" "$root/usr/bin/cton"
cp "$exporter" "$root/usr/bin/node_exporter"
cp "$config" "$root/etc/cton/cton.yaml"
cp "$ca" "$root/etc/cton/ca.pem"
chmod -R a+rX "$root/etc/cton"
mount -t tmpfs -o mode=0777,nodev,nosuid,noexec none "$root/var/lib/cton"
mount -o remount,ro "$root"
ip link set lo up 2>/dev/null || true
! chroot "$root" touch /written 2>/dev/null || fail "the root can be written"

nobody() { exec chroot "$root" setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
(nobody node_exporter --web.listen-address=127.0.0.1:9107 --log.level=error) &
start() {
	(SSL_CERT_FILE=/etc/cton/ca.pem nobody cton run -c /etc/cton/cton.yaml) &
	agent=$!
}
start
while read -r command; do
	case $command in
	kill)
		kill -9 "$agent"
		wait "$agent" || true
		start
		;;
	stop)
		kill -TERM "$agent"
		wait "$agent" || fail "the agent has not ended in order"
		echo "== passed"
		exit
		;;
	esac
done
