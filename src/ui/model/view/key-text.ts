// How keys are written for people.

/** How a key is written for people: `↑`, `Ctrl-C`, `PgUp`. */
export function keyText(name: string, ascii: boolean): string {
  const named = ascii ? ASCII_NAMES : NAMES;
  return (
    named[name] ??
    ASCII_NAMES[name] ??
    name.replace(/^ctrl\+(.)$/, (_, letter: string) => `Ctrl-${letter.toUpperCase()}`)
  );
}

const NAMES: Readonly<Record<string, string>> = { up: "↑", down: "↓", left: "←", right: "→", return: "⏎" };
const ASCII_NAMES: Readonly<Record<string, string>> = {
  up: "Up",
  down: "Down",
  left: "Left",
  right: "Right",
  return: "Enter",
  pageup: "PgUp",
  pagedown: "PgDn",
  home: "Home",
  end: "End",
  tab: "Tab",
  "shift+tab": "Shift-Tab",
  escape: "Esc",
  backspace: "Backspace",
  space: "Space",
};
