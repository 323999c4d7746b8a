// Bars made of cells: slots, cores, progress.
import type { Theme, Tone } from "../../theme.ts";
import { type Part, part } from "./parts.ts";

/** `██████░░`: one cell a slot where they fit, else in proportion; anything in use shows at least one cell. */
export function slotBar(busy: number, slots: number, maxWidth: number, theme: Theme): string {
  const width = Math.max(1, Math.min(Math.max(busy, slots, 1), maxWidth));
  return bar(busy, Math.max(busy, slots), width, theme.glyphs.slotFull, theme.glyphs.slotFree);
}

/** `▮▮▮▮▮▯▯▯`: cores in use of those there are. */
export function coreBar(busy: number, cores: number, maxWidth: number, theme: Theme): string {
  const width = Math.max(1, Math.min(cores, maxWidth));
  return bar(busy, cores, width, theme.glyphs.coreFull, theme.glyphs.coreFree);
}

function bar(value: number, total: number, width: number, full: string, free: string): string {
  const share = total <= 0 ? 0 : Math.min(1, Math.max(0, value / total));
  const cells = share === 0 ? 0 : Math.max(1, Math.round(share * width));
  return full.repeat(cells) + free.repeat(width - cells);
}

/** What a run's progress is made of, in builds. */
export interface Progress {
  readonly done: number;
  readonly failed: number;
  readonly running: number;
  readonly expected: number;
}

/** The rule under the header: done, failed, running, rest, in proportion and each in its tone. */
export function progressParts(progress: Progress, width: number, theme: Theme): readonly Part[] {
  const { glyphs } = theme;
  if (theme.isSpoken) return [];
  const total = Math.max(1, progress.expected);
  const steps: readonly [number, string, Tone][] = [
    [progress.done, glyphs.barDone, "good"],
    [progress.failed, glyphs.barBad, "bad"],
    [progress.running, glyphs.barActive, "active"],
  ];
  const parts: Part[] = [];
  let used = 0;
  let counted = 0;
  for (const [count, glyph, tone] of steps) {
    counted += count;
    const until = Math.min(width, Math.round((counted / total) * width));
    const cells = Math.max(count > 0 && used < width ? 1 : 0, until - used);
    if (cells > 0) parts.push(part(glyph.repeat(cells), tone, { gap: 0 }));
    used += cells;
  }
  if (used < width) parts.push(part(glyphs.barRest.repeat(width - used), "dim", { gap: 0 }));
  return parts;
}

/** `━━━━━───`: how far one thing is. */
export function progressBar(share: number, width: number, theme: Theme): string {
  const cells = Math.min(width, Math.max(0, Math.round(share * width)));
  return theme.glyphs.barDone.repeat(cells) + theme.glyphs.barRest.repeat(width - cells);
}
