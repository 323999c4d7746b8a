// Which columns builders have on the board, and how wide they are: decided once for all rows, so that they stand under each other.
import { sanitizeText } from "../../format/sanitize.ts";
import { displayWidth } from "../../format/width.ts";
import type { Machine } from "../../model/board/board.ts";
import { coreUse } from "../../model/board/core-use.ts";

/** Cells of the columns; 0 where there is no room for one. */
export interface MachineColumns {
  readonly name: number;
  readonly bar: number;
  readonly count: number;
  readonly coreLabel: number;
  readonly coreBar: number;
  readonly cores: number;
  readonly verdict: number;
  readonly up: number;
  readonly speed: number;
  readonly down: number;
  readonly load: number;
}

/** From here on there is room for words beside numbers. */
export const WORDS_WIDTH = 100;
const LONGEST_BAR = 16;

/** Gives each column its room in the order of what is missed most. */
export function machineColumns(machines: Iterable<Machine>, width: number, spoken: boolean): MachineColumns {
  let name = 5;
  let slots = 1;
  let cores = 1;
  for (const machine of machines) {
    name = Math.max(name, displayWidth(sanitizeText(machine.id)));
    slots = Math.max(slots, machine.slots);
    cores = Math.max(cores, coreUse(machine).cores ?? 0);
  }
  const longest = width >= 120 ? LONGEST_BAR : 8;
  name = Math.min(name, Math.max(8, Math.floor(width * 0.22)));
  let room = width - name - 3;
  const take = (cells: number): number => {
    if (cells === 0 || cells > room) return 0;
    room -= cells + 1;
    return cells;
  };
  const hasWords = width >= WORDS_WIDTH;
  const count = take(hasWords ? 11 : 5);
  const bar = take(spoken ? 0 : Math.min(slots, longest));
  const coresText = take(9);
  const coreBar = take(spoken ? 0 : Math.min(cores, longest));
  const verdict = take(15);
  const up = take(12);
  const speed = take(4);
  const down = take(12);
  const load = take(10);
  const coreLabel = take(hasWords ? 5 : 0);
  return { name, bar, count, coreLabel, coreBar, cores: coresText, verdict, up, speed, down, load };
}
