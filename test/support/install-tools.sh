#!/usr/bin/env bash
# Installs the programs the system tests talk to (Debian, root), or says loudly which tests will be skipped without them.
set -uo pipefail

# Debian package, the program it is known by, and what cannot be tested without it.
tools=(
  "nix-bin nix-store every comparison with a real Nix"
  "openssh-server sshd builders over SSH"
  "openssh-client ssh builders over SSH"
  "bubblewrap bwrap the embedded executor"
  "busybox-static busybox every test build"
  "mmdebstrap mmdebstrap further generations of Nix"
  "tmux tmux the board in a terminal"
  "xz-utils xz binary caches with xz"
  "zstd zstd binary caches with zstd"
  "iproute2 ip a link that goes down"
  "sqlite3 sqlite3 reading a store's database"
  "diffoscope-minimal diffoscope --diffoscope with the real one"
  "util-linux nsenter private mount namespaces"
)

export PATH="$PATH:/usr/sbin:/sbin"
missing_packages=()
missing_lines=()
for tool in "${tools[@]}"; do
  read -r package program subject <<<"$tool"
  if ! command -v "$program" >/dev/null; then
    missing_packages+=("$package")
    missing_lines+=("  $program (Debian: $package): $subject")
  fi
done
[ "${#missing_packages[@]}" -eq 0 ] && exit 0

complain() {
  {
    echo "################################################################################"
    echo "# $1"
    echo "# Tests of the following are skipped:"
    printf '#%s\n' "${missing_lines[@]}"
    echo "################################################################################"
  } >&2
  exit 1
}

command -v apt-get >/dev/null || complain "Not a Debian: install these programs with your package manager."
[ "$(id -u)" -eq 0 ] || complain "Not root: run 'sudo apt-get install ${missing_packages[*]}'."

echo "installing ${missing_packages[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
# The daemons these packages bring must not start: every test starts its own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
  trap 'rm -f "$log" "$policy"' EXIT
fi
# A single broken source of somebody else's must not stop the installation, so a failing update only shows when installing fails too.
if ! { apt-get update || true; } >"$log" 2>&1 </dev/null ||
  ! apt-get install -y --no-install-recommends "${missing_packages[@]}" >>"$log" 2>&1 </dev/null; then
  tail -n 30 "$log" >&2
  complain "apt-get could not install: ${missing_packages[*]}"
fi
