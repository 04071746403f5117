#!/bin/sh
# Creates the user of the service. A removal does not delete the user, since files that stay belong to it.
set -e
id -u cton >/dev/null 2>&1 && exit 0
if command -v useradd >/dev/null; then
	useradd --system --user-group --no-create-home --home-dir /var/lib/cton --shell /usr/sbin/nologin cton
else
	addgroup -S cton
	adduser -S -D -H -h /var/lib/cton -s /sbin/nologin -G cton cton
fi
