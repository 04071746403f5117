#!/usr/bin/env bash
# Installs, upgrades, removes and purges the Debian packages on a copy of this system, and checks the files after each step:
#   unshare --mount --pid --fork deploy/e2e/package.sh OLD.deb NEW.deb NEW.rpm
# The Red Hat package is installed and removed with Debian's rpm, if rpm can be installed.
#
# The copy has no running systemd.
set -euo pipefail
old=$1 new=$2 rpm=$3
. "$(dirname "$0")/copy.sh"
cp "$old" "$root/old.deb"
cp "$new" "$root/new.deb"
cp "$rpm" "$root/new.rpm"
copy() { chroot "$root" "$@"; }
dpkg() { copy env DEBIAN_FRONTEND=noninteractive LC_ALL=C dpkg "$@"; }
# is PATH "MODE USER GROUP" checks the mode, the user and the group of a file.
is() { [ "$(copy stat -c '%a %U %G' "$1")" = "$2" ] || fail "$1 is $(copy stat -c '%a %U %G' "$1"), want $2"; }
gone() { [ ! -e "$root$1" ] || fail "$1 is still there"; }
# has PATH TEXT checks that a file contains a text.
has() { grep -qF -- "$2" "$root$1" || fail "$1 has no $2"; }

# measure SIGNAL runs the installed service as its user until the page shows a metric, and then ends it with the signal.
measure() {
	chroot "$root" setpriv --reuid cton --regid cton --init-groups cton run -c /etc/cton/cton.yaml 2>"$base/log" &
	local pid=$! try
	for try in {1..100}; do # 20 s
		curl -sf http://127.0.0.1:8971/metrics | grep -q '^host_load1 [0-9]' && break
		[ "$try" != 100 ] || { cat "$base/log" >&2; fail "no metric on the page"; }
		sleep 0.2
	done
	kill -"$1" "$pid"
	wait "$pid" || true
}
ip link set lo up 2>/dev/null || true

step() { echo "== $*"; }
step install
! copy id cton 2>/dev/null || fail "this system has a user cton already"
dpkg -i old.deb
is /etc/cton "750 root cton"
is /etc/cton/cton.yaml "640 root cton"
is /var/lib/cton "750 cton cton"
is /usr/bin/cton "755 root root"
is /usr/share/bash-completion/completions/cton "644 root root"
copy bash -c '. /usr/share/bash-completion/completions/cton && COMP_WORDS=(cton expl) COMP_CWORD=1 && _cton && [ "${COMPREPLY[*]}" = explain ]' || fail "the completion does not complete"
copy dpkg -L cton | grep -qx /usr/share/man/man1/cton.1.gz || fail "there is no manual page"
[ "$(copy getent passwd cton | cut -d: -f6,7)" = /var/lib/cton:/usr/sbin/nologin ] || fail "the user is wrong: $(copy getent passwd cton)"
copy cton check -c /etc/cton/cton.yaml
copy systemd-analyze verify /usr/lib/systemd/system/cton.service /usr/lib/systemd/system/cton-once.timer
for unit in cton.service cton-once.service; do
	copy systemd-analyze security --offline=true --threshold=30 "$unit" | tail -n 1
done

step run, and kill
sed -i 's/127.0.0.1:8000/127.0.0.1:8971/' "$root/etc/cton/cton.yaml"
measure KILL
[ -n "$(ls "$root/var/lib/cton")" ] || fail "there is no state"
mkdir "$root/var/lib/cton/spool"
echo waits >"$root/var/lib/cton/spool/request"
copy chown -R cton:cton /var/lib/cton/spool
# State and a spool that the first version of their formats holds. Every later version reads them.
here=$(cd "$(dirname "$0")/../.." && pwd)
mkdir "$root/var/lib/cton/first"
cp -r "$here/agent/internal/state/testdata/version-1/state" "$here/sinks/remotewrite/spool/testdata/version-1" "$root/var/lib/cton/first"
copy chown -R cton:cton /var/lib/cton/first
cat >"$root/etc/cton/first.yaml" <<'CONFIG'
state_file: /var/lib/cton/first/state
sinks: {receiver: {remote_write: {url: "http://127.0.0.1:1/api/v1/write", spool: {dir: /var/lib/cton/first/version-1}}}}
jobs:
  oncall:
    schedule: "@every 1m"
    file: {path: /dev/null}
    metrics: {polls_total: {type: counter, from: increment, value: 1, labels: {team: .team}}}
CONFIG
copy chmod 644 /etc/cton/first.yaml
kept=$(cd "$root/var/lib/cton" && sha256sum -- $(find . -type f | sort))

step upgrade
copy systemctl enable cton.service
before=$(copy cton version)
dpkg -i --force-confold new.deb
[ "$(copy cton version)" != "$before" ] || fail "the binary is still $before"
has /etc/cton/cton.yaml 127.0.0.1:8971
[ "$(cd "$root/var/lib/cton" && sha256sum -- $(find . -type f | sort))" = "$kept" ] || fail "the upgrade has changed state or spool"
[ -L "$root/etc/systemd/system/multi-user.target.wants/cton.service" ] || fail "the upgrade has disabled the service"
for command in "state show" "spool ls"; do
	copy setpriv --reuid cton --regid cton --init-groups cton $command -c /etc/cton/first.yaml # two words
done >"$base/first"
cat "$base/first"
grep -Eq '^ +incidents_seen_total +counter +4 series +8 event ids' "$base/first" || fail "the state of an earlier version is not read"
[ "$(grep -c ' waits$' "$base/first")" = 3 ] || fail "the spool of an earlier version is not read"
rm "$root/etc/cton/first.yaml"
measure TERM

step remove
dpkg -r cton
gone /usr/bin/cton
gone /usr/lib/systemd/system/cton.service
gone /etc/systemd/system/multi-user.target.wants/cton.service
has /var/lib/cton/spool/request waits
has /etc/cton/cton.yaml 127.0.0.1:8971

step install again, and run with the state that is there
dpkg -i --force-confold new.deb
is /var/lib/cton "750 cton cton"
measure TERM

step purge
dpkg -P cton
gone /var/lib/cton
gone /etc/cton
gone /usr/bin/cton
gone /usr/share/doc/cton

step rpm
if install rpm; then
	copy userdel cton
	copy rpm --install --nodeps new.rpm # rpm does not know which packages dpkg has installed
	is /etc/cton/cton.yaml "640 root cton"
	is /var/lib/cton "750 cton cton"
	is /usr/bin/cton "755 root root"
	is /usr/share/zsh/site-functions/_cton "644 root root"
	copy rpm --verify --nodeps cton || fail "installed otherwise than the package says"
	sed -i 's/127.0.0.1:8000/127.0.0.1:8971/' "$root/etc/cton/cton.yaml"
	measure TERM
	copy rpm --erase cton
	gone /usr/bin/cton
	gone /usr/lib/systemd/system/cton.service
	[ -n "$(ls "$root/var/lib/cton")" ] || fail "the state is gone"
	has /etc/cton/cton.yaml.rpmsave 127.0.0.1:8971
fi
echo "== passed"
