#!/bin/sh
# Stops the service before a removal, but not before an upgrade. For an upgrade, dpkg passes the word upgrade, and rpm passes 1: the
# number of versions that stay installed.
set -e
case "${1-}" in upgrade | failed-upgrade | 1) exit 0 ;; esac
command -v systemctl >/dev/null || exit 0
now=
[ ! -d /run/systemd/system ] || now=--now
systemctl disable $now cton.service cton-once.timer
