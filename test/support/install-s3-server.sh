#!/usr/bin/env bash
# Unpacks a real S3 server (OpenStack Swift with its s3api, from this Debian's packages) into a cache and prints where it is.
#
# Nothing is installed on the machine: no daemon of it ever starts by itself. About half a minute the first time. Safe to run several
# times at once. Exit status 1, loudly, when it could not be had.
set -uo pipefail

# Bump with the package list, so that caches made by another recipe are left alone.
recipe=1
packages=swift-proxy,swift-account,swift-container,swift-object,memcached,python3,bash,dash,coreutils
cache="${XDG_CACHE_HOME:-/var/cache}/tsbuild-top-test/s3"

complain() {
  {
    echo "################################################################################"
    echo "# No real S3 server: $1"
    echo "# What is tested against one is not tested here."
    echo "################################################################################"
  } >&2
  exit 1
}

[ "$(id -u)" -eq 0 ] || complain "unpacking Debian packages needs root"
command -v mmdebstrap >/dev/null || complain "mmdebstrap is not installed"
codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
[ -n "$codename" ] || complain "not a Debian"
mkdir -p "$cache" || complain "cannot write $cache"
target="$cache/swift-$codename-r$recipe"
exec 9>"$cache/lock"
flock 9

unpack() {
  local partial="$target.partial" log="$target.log" link
  rm -rf "$partial"
  # The machine's own sources, so that security updates are in it.
  local sources=()
  for link in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
    [ -s "$link" ] && sources+=("$link")
  done
  mmdebstrap --variant=extract --include="$packages" "$codename" "$partial" "${sources[@]}" >"$log" 2>&1 </dev/null ||
    { tail -n 15 "$log" >&2; return 1; }
  for link in bin sbin lib lib32 lib64; do
    [ -e "$partial/$link" ] || [ ! -d "$partial/usr/$link" ] || ln -s "usr/$link" "$partial/$link"
  done
  # Nothing was configured, so what the configuration makes is missing.
  mkdir -p "$partial"/{proc,dev,tmp,run,srv,etc/swift}
  printf 'root:x:0:0:root:/tmp:/bin/sh\n' >"$partial/etc/passwd"
  printf 'root:x:0:\n' >"$partial/etc/group"
  printf '127.0.0.1 localhost\n' >"$partial/etc/hosts"
  rm -rf "$partial"/usr/share/{doc,man,locale,info} "$partial"/var/{cache,lib}/apt
  # Compiled once: without that every start takes ten seconds more.
  chroot "$partial" /usr/bin/env -i PATH=/usr/bin:/bin LC_ALL=C.UTF-8 \
    python3 -m compileall -q -j 0 /usr/lib/python3 /usr/lib/python3.* >>"$log" 2>&1 </dev/null
  chroot "$partial" /usr/bin/env -i PATH=/usr/bin:/bin LC_ALL=C.UTF-8 \
    python3 -c 'import swift; print(swift.__version__)' >"$partial/.version" 2>>"$log" </dev/null ||
    { tail -n 15 "$log" >&2; return 1; }
  rm -rf "$target" && mv "$partial" "$target" && rm -f "$log"
}

if [ ! -s "$target/.version" ]; then
  echo "unpacking OpenStack Swift into $target" >&2
  unpack || { rm -rf "$target.partial"; complain "the packages of Debian $codename could not be unpacked"; }
fi
chroot "$target" /usr/bin/env true || complain "programs of $target do not run"
rm -f
printf '%s\t%s\n' "$target" "$(cat "$target/.version")"
