// One line that is drawn over and over below lines that stay; on anything but a terminal only the lines that stay are written.
import type { Clock } from "../src/engine/index.ts";

/** Milliseconds between two drawings. */
const EVERY = 100;

export interface ProgressLine {
  /** A line that stays. */
  say(text: string): void;
  /** What the line says now; asked for only when it is drawn. */
  show(text: () => string): void;
  /** Takes the line away. */
  clear(): void;
}

/** @param environment `TERM=dumb` has no line that can be drawn over */
export function createProgressLine(
  stream: NodeJS.WriteStream,
  clock: Clock,
  environment: Readonly<Record<string, string | undefined>>,
): ProgressLine {
  const draws = stream.isTTY === true && environment.TERM !== "dumb";
  let shown = "";
  let drawnAt = Number.NEGATIVE_INFINITY;
  const erase = (): void => {
    if (shown !== "") stream.write("\r\x1b[K");
    shown = "";
  };
  return {
    say: (text) => {
      const line = shown;
      erase();
      stream.write(`${text}\n`);
      if (line !== "") stream.write(line);
      shown = line;
    },
    show: (text) => {
      if (!draws || clock.now() - drawnAt < EVERY) return;
      drawnAt = clock.now();
      const line = text().slice(0, Math.max(1, (stream.columns ?? 80) - 1));
      if (line === shown) return;
      stream.write(`\r\x1b[K${line}`);
      shown = line;
    },
    clear: erase,
  };
}
