#!/usr/bin/env bash
# Unpacks the Nix of newer Debian suites into a cache, each with the programs a builder machine needs, and prints where they are.
#
# usage: install-nix-generations.sh [SUITE…]      (default: trixie forky)
# Prints one line per suite on stdout: SUITE <tab> DIRECTORY <tab> what `nix --version` says. Safe to run several times at once.
# Exit status 1 when a suite could not be had; the others are printed all the same.
set -uo pipefail

# Bump with the package list, so that caches made by another recipe are left alone.
recipe=1
packages=nix-bin,openssh-server,openssh-client,bash,dash,coreutils,util-linux,mount,procps

suites=("$@")
[ "${#suites[@]}" -gt 0 ] || suites=(trixie forky)
cache="${XDG_CACHE_HOME:-/var/cache}/tsbuild-top-test/nix"

# The first mirror of this machine's own release, from either format of apt's sources.
debian_mirror() {
  local codename
  codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
  [ -n "$codename" ] || return 1
  awk -v codename="$codename" '
    /^[[:space:]]*#/ { next }
    FILENAME ~ /\.list$/ && $1 == "deb" {
      line = $0; sub(/\[[^]]*\]/, "", line); n = split(line, field, /[[:space:]]+/)
      if (field[3] == codename && line ~ / main( |$)/) { print field[2]; exit }
      next
    }
    /^$/ { uri = ""; named = 0; disabled = 0; next }
    FNR == 1 { uri = ""; named = 0; disabled = 0 }
    tolower($1) == "enabled:" && tolower($2) == "no" { disabled = 1 }
    tolower($1) == "uris:" { uri = $2 }
    tolower($1) == "suites:" { for (i = 2; i <= NF; i++) if ($i == codename) named = 1 }
    uri != "" && named && !disabled && tolower($1) == "components:" && / main( |$)/ { print uri; exit }
  ' $(ls /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null)
}

# Nix in an unpacked root says its version; that needs /proc, but no store.
version_in() {
  mkdir -p "$1/proc" || return 1
  unshare --mount sh -c 'mount --rbind /proc "$1/proc" &&
    exec chroot "$1" /usr/bin/env -i HOME=/tmp NIX_CONF_DIR=/nonexistent /usr/bin/nix --version' sh "$1" </dev/null
}

unpack() {
  local suite=$1 target=$2 mirror partial log
  mirror=$(debian_mirror)
  [ -n "$mirror" ] || { echo "no Debian mirror found in apt's sources" >&2; return 1; }
  partial="$target.partial"
  log="$target.log"
  rm -rf "$partial"
  # Min-ValidTime: a mirror that follows the archive slowly offers release files of a testing suite past their week.
  # Signatures are checked as always; only a bounded age (90 days) is accepted.
  mmdebstrap --variant=extract --include="$packages" --aptopt='Acquire::Min-ValidTime "7776000"' \
    "$suite" "$partial" "$mirror" >"$log" 2>&1 </dev/null ||
    { tail -n 15 "$log" >&2; rm -rf "$partial"; return 1; }
  local link
  for link in bin sbin lib lib32 lib64; do
    [ -e "$partial/$link" ] || [ ! -d "$partial/usr/$link" ] || ln -s "usr/$link" "$partial/$link"
  done
  rm -rf "$partial"/usr/share/{doc,man,locale,info} "$partial"/var/{cache,lib}/apt
  version_in "$partial" >"$partial/.nix-version" || { echo "its nix does not run" >&2; rm -rf "$partial"; return 1; }
  rm -rf "$target" && mv "$partial" "$target" && rm -f "$log"
}

[ "$(id -u)" -eq 0 ] || { echo "unpacking a Debian suite needs root" >&2; exit 1; }
command -v mmdebstrap >/dev/null || { echo "mmdebstrap is not installed" >&2; exit 1; }
mkdir -p "$cache" || exit 1
status=0
for suite in "${suites[@]}"; do
  target="$cache/$suite-r$recipe"
  exec 9>"$cache/$suite.lock"
  flock 9
  if [ ! -s "$target/.nix-version" ]; then
    echo "unpacking the Nix of Debian $suite into $target" >&2
    unpack "$suite" "$target" || { echo "the Nix of Debian $suite could not be had" >&2; status=1; exec 9>&-; continue; }
  fi
  exec 9>&-
  printf '%s\t%s\t%s\n' "$suite" "$target" "$(cat "$target/.nix-version")"
done
exit "$status"
