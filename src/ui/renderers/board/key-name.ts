// The name of a pressed key as the key table knows it.

/** What Ink says of a key. */
export interface PressedKey {
  readonly upArrow: boolean;
  readonly downArrow: boolean;
  readonly leftArrow: boolean;
  readonly rightArrow: boolean;
  readonly pageDown: boolean;
  readonly pageUp: boolean;
  readonly home: boolean;
  readonly end: boolean;
  readonly return: boolean;
  readonly escape: boolean;
  readonly ctrl: boolean;
  readonly shift: boolean;
  readonly tab: boolean;
  readonly backspace: boolean;
  readonly delete: boolean;
  readonly meta: boolean;
}

const NAMED: ReadonlySet<string> = new Set([
  "up",
  "down",
  "left",
  "right",
  "pageup",
  "pagedown",
  "home",
  "end",
  "return",
  "escape",
  "tab",
  "shift+tab",
  "backspace",
  "delete",
  "space",
]);

/** `j`, `G`, `up`, `ctrl+c`, `shift+tab`, `space`; longer text when several characters came at once; null for keys without a name. */
export function keyName(input: string, key: PressedKey): string | null {
  if (key.ctrl && input.length === 1) return `ctrl+${input.toLowerCase()}`;
  if (key.upArrow) return "up";
  if (key.downArrow) return "down";
  if (key.leftArrow) return "left";
  if (key.rightArrow) return "right";
  if (key.pageUp) return "pageup";
  if (key.pageDown) return "pagedown";
  if (key.home) return "home";
  if (key.end) return "end";
  if (key.return) return "return";
  if (key.escape) return "escape";
  if (key.tab) return key.shift ? "shift+tab" : "tab";
  if (key.backspace) return "backspace";
  if (key.delete) return "delete";
  if (input === " ") return "space";
  if (key.meta || input === "") return null;
  return input;
}

/** Keys typed faster than they are read arrive in one piece; pasted text does not come this way. */
export function splitTyped(name: string): readonly string[] {
  return NAMED.has(name) || name.startsWith("ctrl+") ? [name] : Array.from(name);
}
