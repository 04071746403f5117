# Makes $root a copy of this system. It is for scripts that run as root in a separate mount namespace. The copy is an overlay in
# memory, so this system is not changed. $base is the directory that contains the copy. The exit code is 77 if no overlay can be mounted.

mount --make-rprivate /
base=$(mktemp -d)
mount -t tmpfs none "$base"
mkdir "$base"/{upper,work,root}
root=$base/root
if ! mount -t overlay overlay -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" "$root"; then
	echo "SKIPPED: no overlay can be mounted" >&2
	exit 77
fi
mount -t proc proc "$root/proc"
mount -t tmpfs none "$root/run"
mount --rbind /dev "$root/dev"

fail() { echo "FAILED: $*" >&2; exit 1; }
# install PACKAGE… installs packages of Debian on the copy, or prints why they cannot be installed.
install() {
	chroot "$root" env DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends "$@" >"$base/log" 2>&1 && return
	tail -n 3 "$base/log" >&2
	echo "SKIPPED: $* cannot be installed" >&2
	return 1
}
