#!/bin/sh
# Downloads Debian's packages of busybox, for the image with a shell, with the sums of SHA256SUMS:
#   deploy/release/shell/fetch.sh DIR
#
# Without apt it downloads nothing and says so; the release then has no image with a shell. A file that is there already with the right
# sum is not downloaded again.
set -eu
dir=$1
cd "$(dirname "$0")"
apt=/usr/lib/apt/apt-helper
mkdir -p "$dir"
while read -r sum name; do
	if echo "$sum  $dir/$name" | sha256sum --check --status 2>/dev/null; then continue; fi
	if [ ! -x "$apt" ]; then
		echo "release: no image with a shell: $apt is not installed, so Debian's busybox cannot be downloaded" >&2
		exit 0
	fi
	for archive in http://deb.debian.org/debian http://snapshot.debian.org/archive/debian/20261101T000000Z; do
		rm -f "$dir/$name"
		timeout -k 10 120 "$apt" -o APT::Sandbox::User=root -o Acquire::Retries=3 download-file \
			"$archive/pool/main/b/busybox/$name" "$dir/$name" "SHA256:$sum" >&2 && break
	done
	[ -e "$dir/$name" ] || { echo "release: $name cannot be downloaded, or its sum is not $sum" >&2; exit 1; }
done <SHA256SUMS
