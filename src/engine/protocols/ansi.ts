// Removes terminal control sequences from text: Nix colours its error messages even when it sends them to another program.

// CSI and OSC sequences, two-character escapes, then every other control character except tab, newline and carriage return.
const ESCAPES =
  /\u001b\[[0-?]*[ -/]*[@-~]|\u001b[\]PX^_][^\u0007\u001b]*(?:\u0007|\u001b\\)?|\u001b[ -/]*[0-~]?|[\u0000-\u0008\u000b\u000c\u000e-\u001a\u001c-\u001f\u007f]/g;

/** The text without escape sequences and control characters (newline, carriage return and tab remain). */
export function stripAnsi(text: string): string {
  return text.replace(ESCAPES, "");
}
