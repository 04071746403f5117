#!/usr/bin/env bash
# Installs the Debian package on a copy of this system, boots systemd in the copy, and starts, reloads, kills, upgrades and purges the
# service:
#   unshare --mount --pid --fork --cgroup --ipc --uts deploy/e2e/systemd.sh PACKAGE.deb RESULT
#
# RESULT is a file in /dev/shm for the output of the test. If the test succeeds, the output ends with "passed". systemd runs until the
# caller kills it.
set -euo pipefail
deb=$1 result=$2
. "$(dirname "$0")/copy.sh"
mount -t sysfs -o ro sysfs "$root/sys" || exit 77
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup" || exit 77
mount -t tmpfs none "$root/tmp"
cp "$deb" "$root/cton.deb"
chroot "$root" dpkg -i /cton.deb

cat >"$root/check.sh" <<'CHECK'
set -eux
# until_true COMMAND… waits for a command to succeed, 30 s at most.
until_true() { for _ in $(seq 150); do "$@" && return; sleep 0.2; done; false; }
measured() { curl -sf http://127.0.0.1:8973/metrics | grep '^host_load1 [0-9]'; }
is() { [ "$(systemctl show -P "$1" cton.service)" = "$2" ]; }
sed -i 's/127.0.0.1:8000/127.0.0.1:8973/' /etc/cton/cton.yaml
systemctl start cton.service
is StatusText "running: jobs: 1, sinks: 1"
until_true measured
echo 'jobs: [' >>/etc/cton/cton.yaml
systemctl reload cton.service
until_true is StatusText "the last reload failed: the configuration is wrong; the previous one stays in use"
sed -i '$d' /etc/cton/cton.yaml
systemctl reload cton.service
until_true is StatusText "running: jobs: 1, sinks: 1"
kill -9 "$(systemctl show -P MainPID cton.service)"
until_true is NRestarts 1
until_true measured
before=$(systemctl show -P MainPID cton.service)
dpkg -i /cton.deb
! is MainPID "$before"
until_true measured
dpkg -P cton
[ "$(systemctl is-active cton.service)" = inactive ]
[ ! -e /var/lib/cton ]
echo passed
CHECK
cat >"$root/etc/systemd/system/check.service" <<UNIT
[Service]
Type=oneshot
ExecStart=/bin/bash /check.sh
StandardOutput=file:$result
StandardError=inherit
UNIT
mkdir "$root/before"
cd "$root"
pivot_root . before # in place of chroot, since no user namespace can be created in a chroot
umount -l /before
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=e2e /lib/systemd/systemd --system --unit=check.service --log-level=warning --log-target=console
