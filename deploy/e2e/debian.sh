# Functions that get programs from Debian, for scripts that source this file with the repository as working directory.
#
# A program that is not installed is downloaded from Debian and unpacked below bin/debian. Nothing is installed: no package
# starts a service or changes the system. A second run downloads nothing. The functions never ask the user, and each download ends
# after 5 minutes at most.
command -v apt-get dpkg-deb >/dev/null || { echo "this needs a Debian system: there is no apt-get" >&2; exit 1; }
debian=$PWD/bin/debian
mkdir -p "$debian"

apt() {
	DEBIAN_FRONTEND=noninteractive timeout -k 10 300 apt-get -q -y -o APT::Sandbox::User=root -o DPkg::Lock::Timeout=120 \
		-o Acquire::Retries=3 -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30 "$@" >&2
}

# fetch COMMAND… runs apt with a command that downloads. If that fails, fetch updates the package lists and tries again.
fetch() { apt "$@" || { apt update && apt "$@"; }; }

# unpack NAME COMMAND… downloads packages with a command of apt and unpacks them into $debian/NAME. The directory is created only when
# its content is complete.
unpack() {
	local dir=$debian/$1 new=$debian/$1.new deb
	shift
	rm -rf "$new"
	mkdir -p "$new/archives/partial"
	(cd "$new/archives" && fetch -o "Dir::Cache::archives=$new/archives" "$@")
	for deb in "$new"/archives/*.deb; do dpkg-deb -x "$deb" "$new"; done
	rm -rf "$new/archives" "$dir"
	mv "$new" "$dir"
}

# unpack_all NAME PACKAGE… also unpacks the dependencies that are not installed on this system. Only root can do that.
unpack_all() { unpack "$1" --download-only --no-install-recommends install "${@:2}"; }

# libraries NAME prints the library path of $debian/NAME.
libraries() { echo "$debian/$1"/{lib,usr/lib}/*-linux-gnu* | tr ' ' ':'; }

# peer PROGRAM prints the path of a program. Its package must have the same name, and it must need only libraries that every system has.
peer() {
	command -v "$1" && return
	[ -x "$debian/$1/usr/bin/$1" ] || unpack "$1" download "$1"
	echo "$debian/$1/usr/bin/$1"
}
