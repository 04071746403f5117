# Makes $root a copy of this system, for scripts that run in a mount namespace of their own as root: an overlay in memory, so nothing of
# this system changes. $base is the directory that it is in. The exit code is 77 if no overlay can be mounted.

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
# install PROGRAM installs a package of Debian on the copy, or prints why it cannot be installed.
install() {
	chroot "$root" env DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends "$@" >"$base/log" 2>&1 && return
	tail -n 3 "$base/log" >&2
	echo "SKIPPED: $* cannot be installed" >&2
	return 1
}
