#!/usr/bin/env bash
# Runs the README's two-command start in a Debian that has git and npm and nothing else: its own Node, its own npm.
#
# usage: bare-debian.sh SUITE USER     (bookworm or trixie; root, or any other name for an ordinary user)
# Prints what `npm ci && npm start` print there, and ends with their status. Needs root and mmdebstrap; the folder is kept in the test cache.
set -euo pipefail
suite=$1
user=$2
checkout=$(cd "$(dirname "$0")/../.." && pwd)
cache="${XDG_CACHE_HOME:-/var/cache}/tsbuild-top-test/bare"
root="$cache/$suite"
mkdir -p "$cache"
exec 9>"$cache/$suite.lock"
flock 9
if [ ! -e "$root/.ready" ]; then
  mirror=$(. /etc/os-release && awk -v c="$VERSION_CODENAME" '
    /^[[:space:]]*#/ { next }
    FILENAME ~ /\.list$/ && $1 == "deb" { line = $0; sub(/\[[^]]*\]/, "", line); split(line, f, /[[:space:]]+/); if (f[3] == c) { print f[2]; exit } next }
    tolower($1) == "uris:" { print $2; exit }' $(ls /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null))
  rm -rf "$root"
  mmdebstrap --quiet --variant=minbase --include=git,npm,ca-certificates --aptopt='Acquire::Min-ValidTime "7776000"' "$suite" "$root" "$mirror" </dev/null >&2
  touch "$root/.ready"
fi
# A folder of this run's own, so that runs do not meet; the program's own files and nothing that was built of them.
name="run-$$"
home="$root/home/$name"
mkdir -p "$home/checkout"
(cd "$checkout" && git ls-files -z --cached --others --exclude-standard | tar --null --files-from=- --create --file=-) | tar -x -C "$home/checkout"
# How this machine reaches its registry, and whom it trusts there, is no part of the test.
cp /etc/resolv.conf /etc/hosts "$root/etc/" 2>/dev/null || true
[ ! -e /etc/ssl/certs/ca-certificates.crt ] || cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
[ ! -e "${HOME:-/nonexistent}/.npmrc" ] || cp "$HOME/.npmrc" "$home/.npmrc"
id=0
if [ "$user" != root ]; then
  id=61003
  grep -q "^plain:" "$root/etc/passwd" || echo "plain:x:$id:$id::/home:/bin/sh" >>"$root/etc/passwd"
  chown -R "$id:$id" "$home"
fi
trap 'rm -rf "$home"' EXIT
unshare --mount --propagation private sh -c '
  root=$1 id=$2 home=$3
  mount --bind "$root" "$root" && mount -t proc proc "$root/proc" && mount --rbind /dev "$root/dev" || exit 1
  cd "$root" && mkdir -p .old && pivot_root . .old && umount -l .old || exit 1
  cd "$home/checkout" || exit 1
  exec setpriv --reuid="$id" --regid="$id" --clear-groups env -i HOME="$home" PATH=/usr/bin:/bin TERM=dumb \
    ${NODE_EXTRA_CA_CERTS:+NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt} ${http_proxy:+http_proxy="$http_proxy"} \
    ${https_proxy:+https_proxy="$https_proxy"} sh -c "npm ci && npm start"
' sh "$root" "$id" "/home/$name" </dev/null
