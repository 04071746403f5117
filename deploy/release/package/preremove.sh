#!/bin/sh
# Stops the service before a removal, but not before an upgrade. For an upgrade, dpkg passes the word upgrade, and rpm passes 1: the
# number of versions that stay installed. apk does not run this script for an upgrade.
set -e
case "${1-}" in upgrade | failed-upgrade | 1) exit 0 ;; esac
if [ -e /usr/lib/systemd/system/cton.service ] && command -v systemctl >/dev/null; then
	now=
	[ ! -d /run/systemd/system ] || now=--now
	systemctl disable $now cton.service cton-once.timer
fi
if [ -e /etc/init.d/cton ] && command -v rc-service >/dev/null; then
	[ ! -e /run/openrc/softlevel ] || rc-service --quiet --ifstarted cton stop
	rc-update --quiet --all delete cton || true # it may be in no runlevel
fi
