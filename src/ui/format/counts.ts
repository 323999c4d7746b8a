// Nix's counters, `[1/0/1 built, 0.0 MiB DL]`: running/done/expected, as its progress bar prints them.
import { formatMiB } from "./bytes.ts";

/** What the counters are made of. */
export interface Counters {
  readonly running: number;
  readonly done: number;
  readonly expected: number;
  readonly failed: number;
  readonly downloadedBytes: number;
}

/** The running field disappears at zero, the expected one when it says nothing more (Nix, progress-bar.cc). */
export function formatBuilt(counters: Counters): string {
  const { running, done, expected, failed } = counters;
  const numbers =
    running > 0 ? `${running}/${done}/${expected}` : expected === done ? String(done) : `${done}/${expected}`;
  return `${numbers} built${failed > 0 ? ` (${failed} failed)` : ""}`;
}

/** `[3/12/40 built (1 failed), 18.2 MiB DL]`. */
export function formatCounters(counters: Counters): string {
  return `[${formatBuilt(counters)}, ${formatMiB(counters.downloadedBytes)} DL]`;
}

/** `1 build`, `3 builds`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
