#!/bin/sh
# Run as `unshare --mount --pid --fork --kill-child sh s3-server-root.sh SOURCE DIR MEMCACHE_PORT PORT…`: a machine that runs Swift.
#
# SOURCE is the root Swift was unpacked into, DIR holds etc/ (its configuration) and srv/ (its disk). Everything ends with this shell, which
# ends with its stdin.
set -eu
source=$1 dir=$2 memcache=$3 script=$4
shift 4

mount --make-rslave /
mount -t proc proc "$source/proc"
mount --rbind /dev "$source/dev"
mount -t tmpfs -o mode=1777 tmpfs "$source/tmp"
mount -t tmpfs tmpfs "$source/run"
mount --bind "$dir/etc" "$source/etc/swift"
mount --bind "$dir/srv" "$source/srv"
inside() {
  chroot "$source" /usr/bin/env -i PATH=/usr/bin:/bin HOME=/tmp LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 "$@"
}
inside memcached -l 127.0.0.1 -p "$memcache" -u root -m 16 </dev/null &
inside python3 - "$@" <"$script" &
exec cat >/dev/null
