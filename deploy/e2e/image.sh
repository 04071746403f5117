#!/usr/bin/env bash
# Runs the container images with Debian's podman, on a copy of this system:
#   unshare --mount --pid --fork deploy/e2e/image.sh IMAGE.oci.tar [IMAGE-SHELL.oci.tar]
set -euo pipefail
image=$1 shell=${2-}
. "$(dirname "$0")/copy.sh"
mount -t sysfs sysfs "$root/sys" || exit 77
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup" || exit 77
mkdir -p "$root/var/lib/containers"
mount -t tmpfs none "$root/var/lib/containers" # an overlay cannot be mounted on an overlay
cp "$image" "$root/image.oci.tar"
[ -z "$shell" ] || cp "$shell" "$root/shell.oci.tar"
install podman crun || exit 77

podman() { chroot "$root" podman --storage-driver vfs --cgroup-manager cgroupfs "$@"; }
step() { echo "== $*"; }
step load
loaded=$(podman load --input /image.oci.tar)
echo "$loaded"
name=${loaded##* }
# run ARGUMENTS… runs the image with the restrictions of a hardened Kubernetes pod.
run() { podman run --rm --cgroups=disabled --network host --read-only --cap-drop all --security-opt no-new-privileges "$@"; }
if ! run "$name" version; then
	echo "SKIPPED: podman cannot run a container here" >&2
	exit 77
fi

step run
mkdir "$root/config"
sed 's/127.0.0.1:8000/127.0.0.1:8975/' "$(dirname "$0")/../release/package/cton.yaml" >"$root/config/cton.yaml"
run --volume /config:/etc/cton:ro --tmpfs /var/lib/cton:mode=1777 "$name" check -c /etc/cton/cton.yaml
run --name cton --volume /config:/etc/cton:ro --tmpfs /var/lib/cton:mode=1777 "$name" &
for try in {1..100}; do # 20 s
	curl -sf http://127.0.0.1:8975/metrics | grep '^host_load1 [0-9]' && break
	[ "$try" != 100 ] || fail "no metric on the page"
	sleep 0.2
done
run "$name" status --url http://127.0.0.1:8975
podman stop cton >/dev/null
wait || fail "the container has not ended in order"

step an exec job without a shell
cat >"$root/config/exec.yaml" <<'CONFIG'
sinks:
  out: {print: {}}
jobs:
  files:
    schedule: "@every 1m"
    exec:
      shell: ls /bin | grep 'sum$' | wc -l | awk '{print 2 * $1}'
      format: text
      text: {pattern: '(?P<count>[0-9]+)'}
    metrics:
      sum_commands: {type: gauge, help: Twice the commands whose name ends with sum., value: ".[0].count | tonumber"}
CONFIG
once() { run --volume /config:/etc/cton:ro --tmpfs /var/lib/cton:mode=1777 "$name" once -c /etc/cton/exec.yaml; }
if once=$(once 2>&1); then fail "the image has a shell"; fi
echo "$once"
grep -qF 'use the image whose tag ends with -shell' <<<"$once" || fail "nothing says which image has a shell"

[ -n "$shell" ] || { echo "== passed, without an image with a shell"; exit; }
step load the image with a shell
loaded=$(podman load --input /shell.oci.tar)
echo "$loaded"
name=${loaded##* }
step its commands
run --entrypoint /bin/sh "$name" -c 'set -e; cd /bin; for applet in *; do "busybox" --list | grep -qxF -- "$applet" || { echo "busybox has no $applet"; exit 1; }; done; ls | wc -l'
run --entrypoint /bin/cat "$name" /licenses/busybox/SOURCE
step an exec job with a pipe
once=$(once)
echo "$once"
grep -q '^sum_commands.* 8\b' <<<"$once" || fail "the exec job has not given its metric"
echo "== passed"
