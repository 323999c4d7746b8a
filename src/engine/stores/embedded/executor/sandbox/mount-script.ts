// Shell functions of the scripts that mount what a build sees; pure.

/** `bind SOURCE TARGET` and `bindro SOURCE TARGET`, which make the target where it is missing. */
export const MOUNT_FUNCTIONS: readonly string[] = [
  'bind() { if [ -d "$1" ]; then mkdir -p "$2"; else mkdir -p "$(dirname "$2")"; : > "$2"; fi; mount --rbind "$1" "$2"; }',
  // Flags the host's mount carries may not be dropped in a user namespace, and are not told by an older kernel.
  'bindro() { bind "$1" "$2"; for flags in "" ,nosuid,nodev ,nosuid,nodev,noatime ,nosuid,nodev,noexec; do ' +
    'mount -o "remount,ro,bind$flags" "$2" 2>/dev/null && return; done; echo "cannot make $2 read-only" >&2; exit 1; }',
];
