#!/bin/sh
# A removal leaves state and spool. Only dpkg's purge removes them.
set -e
if [ "${1-}" = purge ]; then
	rm -rf /var/lib/cton
fi
[ ! -d /run/systemd/system ] || systemctl daemon-reload
