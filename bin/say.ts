// What commands without a board print: every line made harmless first, whoever wrote the words in it.
import { EngineError, messageOf } from "../src/engine/base/errors.ts";
import { jsonText, proseWithoutPasswords } from "../src/engine/index.ts";
import { sanitizeColored, sanitizeLine } from "../src/ui/index.ts";

/** A result, on standard output. Line ends stay, everything else that controls a terminal is taken out. */
export function print(text: string): void {
  process.stdout.write(`${harmless(text)}\n`);
}

/** A result as JSON, on standard output. */
export function printJson(value: unknown, indent = 0): void {
  process.stdout.write(`${jsonText(value, indent)}\n`);
}

/** Something that is said beside the result, on standard error. */
export function say(text: string): void {
  process.stderr.write(`${harmless(proseWithoutPasswords(text))}\n`);
}

/** A warning, and what to do about it on a line of its own. */
export function warn(message: string, hint: string | null = null): void {
  say(`warning: ${message}`);
  if (hint !== null) say(`hint: ${hint}`);
}

/** An error: what, and what to do. Nix's own colours in it stay on a terminal. */
export function complain(error: unknown): void {
  const lines = (text: string): string[] => text.split("\n");
  const show = process.stderr.isTTY === true ? sanitizeColored : sanitizeLine;
  const write = (text: string): void =>
    void process.stderr.write(
      `${lines(text)
        .map((line) => show(line))
        .join("\n")}\n`,
    );
  write(`error: ${proseWithoutPasswords(messageOf(error))}`);
  if (error instanceof EngineError && error.hint !== null) write(`hint: ${error.hint}`);
  if (!(error instanceof EngineError) && error instanceof Error) write(error.stack ?? "");
}

function harmless(text: string): string {
  return text
    .split("\n")
    .map((line) => sanitizeLine(line))
    .join("\n");
}
