#!/bin/sh
# A removal keeps the state and the spool. Only a purge by dpkg deletes them.
set -e
if [ "${1-}" = purge ]; then
	rm -rf /var/lib/cton
fi
[ ! -d /run/systemd/system ] || systemctl daemon-reload
