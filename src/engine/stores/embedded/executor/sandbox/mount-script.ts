// Shell functions for the scripts that mount a build's files; pure.

/** `bind SOURCE TARGET` and `bindro SOURCE TARGET`, which create the target if missing. */
export const MOUNT_FUNCTIONS: readonly string[] = [
  'bind() { if [ -d "$1" ]; then mkdir -p "$2"; else mkdir -p "$(dirname "$2")"; : > "$2"; fi; mount --rbind "$1" "$2"; }',
  // A user namespace may not drop the flags of the host's mount, and an older kernel does not report them.
  'bindro() { bind "$1" "$2"; for flags in "" ,nosuid,nodev ,nosuid,nodev,noatime ,nosuid,nodev,noexec; do ' +
    'mount -o "remount,ro,bind$flags" "$2" 2>/dev/null && return; done; echo "cannot make $2 read-only" >&2; exit 1; }',
];
