// How wide text is on a terminal: string-width's answer, loaded at the first text that is not plain ASCII.
import { createRequire } from "node:module";

// Its segmenter and tables cost 30 ms, a third of the program's start, and most commands print ASCII alone.
let stringWidth: ((text: string) => number) | null = null;

const ASCII = /^[\x20-\x7e]*$/;

/** Cells the text takes, as Ink counts them. */
export function measure(text: string): number {
  if (ASCII.test(text)) return text.length;
  stringWidth ??= (createRequire(import.meta.url)("string-width") as typeof import("string-width")).default;
  return stringWidth(text);
}
