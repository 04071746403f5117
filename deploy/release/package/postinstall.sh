#!/bin/sh
# Restarts the service after an upgrade, if it is running. A new installation starts nothing.
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl try-restart cton.service
elif [ -e /run/openrc/softlevel ]; then
	rc-service --quiet --ifstarted cton restart
fi
