#!/bin/sh
# Creates the user of the service. Its number stays after a removal, as that of the files it owns.
set -e
id -u cton >/dev/null 2>&1 && exit 0
if command -v useradd >/dev/null; then
	useradd --system --user-group --no-create-home --home-dir /var/lib/cton --shell /usr/sbin/nologin cton
else
	addgroup -S cton
	adduser -S -D -H -h /var/lib/cton -s /sbin/nologin -G cton cton
fi
