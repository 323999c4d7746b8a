// Whole lines to one stream; when its reader goes away, that is said once and writing stops.
import type { OutputStream } from "../renderer.ts";

export interface LineWriter {
  /** Writes one line and its end. */
  line(text: string): void;
  lines(texts: readonly string[]): void;
}

/** @param closed called once when the reader is gone (EPIPE) */
export function createLineWriter(stream: OutputStream, closed: () => void): LineWriter {
  let isOpen = true;
  stream.on("error", () => {
    if (!isOpen) return;
    isOpen = false;
    closed();
  });
  const write = (text: string): void => {
    if (isOpen) stream.write(text);
  };
  return {
    line: (text) => write(`${text}\n`),
    lines: (texts) => {
      if (texts.length > 0) write(`${texts.join("\n")}\n`);
    },
  };
}
