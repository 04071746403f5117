#!/usr/bin/env bash
# Installs, runs, kills, upgrades and removes the Alpine package with OpenRC, on a copy of this system:
#   unshare --mount --pid --fork deploy/e2e/apk.sh OLD.apk NEW.apk
#
# apk does it if APK names it. Debian does not have apk. Without it, the script does what apk does: it unpacks the package and runs the
# scripts of the package in the order of apk. OpenRC is Debian's.
set -euo pipefail
old=$1 new=$2
. "$(dirname "$0")/copy.sh"
cp "$old" "$root/old.apk"
cp "$new" "$root/new.apk"
copy() { chroot "$root" "$@"; }
is() { [ "$(copy stat -c '%a %U %G' "$1")" = "$2" ] || fail "$1 is $(copy stat -c '%a %U %G' "$1"), want $2"; }
gone() { [ ! -e "$root$1" ] && [ ! -L "$root$1" ] || fail "$1 is still there"; }
step() { echo "== $*"; }
# until_true COMMAND… waits for a command to succeed, 30 s at most.
until_true() { local try; for try in {1..150}; do "$@" && return; sleep 0.2; done; fail "not in 30 s: $*"; }
measured() { curl -sf http://127.0.0.1:8977/metrics | grep -q '^host_load1 [0-9]'; }

if [ -n "${APK-}" ]; then
	cp "$APK" "$root/usr/bin/apk"
	copy apk add --initdb --root /
	add() { copy apk add --allow-untrusted --no-network --force-broken-world "$1"; }
	del() { copy apk del cton; }
else
	echo "SKIPPED: apk itself: APK does not name it. The packages are unpacked here, and their scripts are run in its order" >&2
	# add PACKAGE installs the package, or upgrades to it. Configuration that is there stays, as with apk.
	add() {
		local phase=install config
		[ ! -e "$root/usr/bin/cton" ] || phase=upgrade
		rm -rf "$root/scripts"
		mkdir "$root/scripts"
		tar --warning=no-unknown-keyword -xzf "$root$1" -C "$root/scripts"
		! [ -e "$root/scripts/.pre-$phase" ] || copy "/scripts/.pre-$phase" 0.0.1-r0
		rm -f "$root/usr/bin/cton" # apk renames files into place
		for config in etc/cton/cton.yaml etc/conf.d/cton; do
			[ ! -e "$root/$config" ] || cp -p "$root/$config" "$root/$config.kept"
		done
		copy tar --warning=no-unknown-keyword -xzf "$1" -C / --exclude='.[A-Zp]*'
		for config in etc/cton/cton.yaml etc/conf.d/cton; do
			[ ! -e "$root/$config.kept" ] || mv "$root/$config.kept" "$root/$config"
		done
		! [ -e "$root/scripts/.post-$phase" ] || copy "/scripts/.post-$phase" 0.0.1-r0
	}
	del() {
		copy /scripts/.pre-deinstall 0.0.1-r0
		(cd "$root/scripts" && find . -type f ! -name '.[A-Zp]*' ! -path './etc/*') | (cd "$root" && xargs rm -f)
		! [ -e "$root/scripts/.post-deinstall" ] || copy /scripts/.post-deinstall 0.0.1-r0
		rm -f "$root/etc/init.d/cton"
	}
fi
install openrc || exit 77
mkdir -p "$root/run/openrc"
touch "$root/run/openrc/softlevel"
ip link set lo up 2>/dev/null || true

step install
add /old.apk
is /etc/cton/cton.yaml "640 root cton"
is /etc/conf.d/cton "600 root root"
is /etc/init.d/cton "755 root root"
is /var/lib/cton "750 cton cton"
is /usr/bin/cton "755 root root"
gone /usr/lib/systemd/system/cton-once.timer
copy cton check -c /etc/cton/cton.yaml

step start
sed -i 's/127.0.0.1:8000/127.0.0.1:8977/' "$root/etc/cton/cton.yaml"
echo 'export API_TOKEN=secret' >>"$root/etc/conf.d/cton"
copy rc-update add cton default
copy rc-service cton start
until_true measured
pid() { copy pgrep -u cton -x cton; }
[ "$(copy stat -c %U "/proc/$(pid)")" = cton ] || fail "it does not run as cton"
tr '\0' '\n' <"$root/proc/$(pid)/environ" | grep -qx API_TOKEN=secret || fail "conf.d does not reach the service"
is /var/log/cton.log "640 cton cton"

step reload
echo 'jobs: [' >>"$root/etc/cton/cton.yaml"
copy rc-service cton reload
until_true grep -q 'the previous one stays in use' "$root/var/log/cton.log"
before=$(pid)
! copy rc-service cton restart || fail "a wrong configuration is started"
[ "$(pid)" = "$before" ] || fail "a restart with a wrong configuration has ended the service"
sed -i '$d' "$root/etc/cton/cton.yaml"
copy rc-service cton restart
until_true measured

step kill
before=$(pid)
kill -9 "$before"
until_true eval '[ -n "$(pid)" ] && [ "$(pid)" != "$before" ]'
until_true measured
echo waits >"$root/var/lib/cton/spooled"

step upgrade
before=$(pid) version=$(copy cton version)
add /new.apk
[ "$(copy cton version)" != "$version" ] || fail "the binary is still $version"
until_true eval '[ -n "$(pid)" ] && [ "$(pid)" != "$before" ]'
until_true measured
grep -q 127.0.0.1:8977 "$root/etc/cton/cton.yaml" || fail "the upgrade has replaced the configuration"
grep -qx waits "$root/var/lib/cton/spooled" || fail "the upgrade has changed the state"
[ -L "$root/etc/runlevels/default/cton" ] || fail "the upgrade has disabled the service"

step remove
del
! pid || fail "the service still runs"
gone /usr/bin/cton
gone /etc/init.d/cton
gone /etc/runlevels/default/cton
grep -qx waits "$root/var/lib/cton/spooled" || fail "the state is gone"
echo "== passed"
