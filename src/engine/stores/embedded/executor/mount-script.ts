// Shell functions of the scripts that mount what a build sees; pure.
import { quote } from "./sandbox-start.ts";

/**
 * `bind SOURCE TARGET` and `bindro SOURCE TARGET`, which make the target where it is missing.
 * @param busybox does it where it is there: util-linux's `mount` reads the whole table each time, so that 3,000 inputs take 40 s instead of 3
 */
export function mountFunctions(busybox: string | null): readonly string[] {
  const [bb, none] = busybox === null ? ["", ""] : ['"$busybox" ', "none "];
  return [
    ...(busybox === null ? [] : [`busybox=${quote(busybox)}`]),
    `open() { [ -d "$1" ] || ${bb}mkdir -p "$1"; }`,
    `bind() { if [ -d "$1" ]; then open "$2"; else open "\${2%/*}"; : > "$2"; fi; ${bb}mount -o rbind "$1" "$2"; }`,
    // Flags the host's mount carries may not be dropped in a user namespace, and are not told by an older kernel.
    'bindro() { bind "$1" "$2"; for flags in "" ,nosuid,nodev ,nosuid,nodev,noatime ,nosuid,nodev,noexec; do ' +
      `${bb}mount -o "remount,ro,bind$flags" ${none}"$2" 2>/dev/null && return; done; ` +
      'echo "cannot make $2 read-only" >&2; exit 1; }',
  ];
}
