// A builder on the board: state, slots, speed, cores, load and transfers in one row, in columns that hold across builders.
import type { ReactNode } from "react";
import { formatRate } from "../../format/bytes.ts";
import { formatClock } from "../../format/duration.ts";
import { sanitizeText } from "../../format/sanitize.ts";
import type { Machine } from "../../model/board/board.ts";
import { coreUse } from "../../model/board/core-use.ts";
import { meterRate } from "../../model/board/meter.ts";
import type { Theme, Tone } from "../../theme.ts";
import { coreBar, slotBar } from "./bars.ts";
import { Line } from "./Line.tsx";
import type { MachineColumns } from "./machine-columns.ts";
import { type Part, part } from "./parts.ts";

export interface MachineRowProps {
  readonly machine: Machine;
  readonly columns: MachineColumns;
  readonly width: number;
  readonly now: number;
  readonly theme: Theme;
  readonly isSelected: boolean;
}

export function MachineRow({ machine, columns, width, now, theme, isSelected }: MachineRowProps): ReactNode {
  const cursor = part(isSelected ? theme.glyphs.cursor : " ", "key");
  const name = part(sanitizeText(machine.id), "strong", { width: columns.name });
  const parts = [cursor, name, ...(stateParts(machine, now) ?? busyParts(machine, columns, now, theme))];
  return <Line parts={parts} width={width} theme={theme} isSelected={isSelected} />;
}

/** A builder that takes nothing says why instead of showing its meters. */
function stateParts(machine: Machine, now: number): readonly Part[] | null {
  const words = stateWords(machine, now);
  if (words === null || (machine.busy > 0 && machine.state.type !== "off")) return null;
  return [part(words.text, words.tone, { gap: 2, min: 8 })];
}

/** What a builder's state means for the user; null while it simply works. */
export function stateWords(machine: Machine, now: number): { readonly text: string; readonly tone: Tone } | null {
  const { state } = machine;
  switch (state.type) {
    case "idle":
    case "up":
      return null;
    case "connecting":
      return { text: `connecting for ${formatClock(now - machine.stateSince)}`, tone: "dim" };
    case "coolingDown":
      return {
        text: `cooling down: ${sanitizeText(state.reason)}, retry in ${formatClock(Math.max(0, state.until - now) + 999)}`,
        tone: "warn",
      };
    case "cordoned":
      return { text: "cordoned: takes nothing new (u brings it back)", tone: "warn" };
    case "draining":
      return { text: "draining: finishes what it runs, then disconnects (u brings it back)", tone: "warn" };
    case "off":
      return { text: `off: ${sanitizeText(state.reason)}`, tone: "bad" };
  }
}

function busyParts(machine: Machine, columns: MachineColumns, now: number, theme: Theme): readonly Part[] {
  const { slots, busy, description, usage } = machine;
  const use = coreUse(machine);
  const words = stateWords(machine, now);
  const count = columns.count > 5 ? `${busy}/${slots} ${slots === 1 ? "slot" : "slots"}` : `${busy}/${slots}`;
  const speed = description.speedFactor === 1 ? "" : `${theme.glyphs.times}${trimNumber(description.speedFactor)}`;
  return [
    ...column(columns.bar, slotBar(busy, slots, Math.max(1, columns.bar), theme), busy > 0 ? "active" : "dim"),
    ...column(columns.count, count, "plain"),
    ...column(columns.speed, speed, "dim"),
    ...coreParts(machine, columns, theme),
    ...column(columns.load, usage.type === "sampled" ? `load ${usage.load1.toFixed(1)}` : "", "dim"),
    ...column(columns.up, rateText(machine.up, theme.glyphs.up, now), "transfer"),
    ...column(columns.down, rateText(machine.down, theme.glyphs.down, now), "transfer"),
    part("", "plain", { grows: true, gap: 0 }),
    part(words === null ? verdictText(use) : shortState(machine), "warn", { drop: 1 }),
  ];
}

function column(width: number, text: string, tone: Tone): readonly Part[] {
  return width === 0 ? [] : [part(text, tone, { width })];
}

function rateText(meter: Machine["up"], arrow: string, now: number): string {
  const rate = meterRate(meter, now);
  return rate > 0 ? `${arrow} ${formatRate(rate)}` : "";
}

function coreParts(machine: Machine, columns: MachineColumns, theme: Theme): readonly Part[] {
  const use = coreUse(machine);
  const { coreLabel, coreBar: barWidth, cores } = columns;
  const whole = coreLabel + barWidth + cores + (coreLabel > 0 ? 1 : 0) + (barWidth > 0 ? 1 : 0);
  if (use.busy === null || use.cores === null) {
    const text = machine.usage.type !== "unavailable" ? "" : whole >= 18 ? "cores not measured" : "no meter";
    return column(cores === 0 ? 0 : whole, text, "dim");
  }
  const tone: Tone = use.busy / use.cores > 0.9 ? "warn" : "good";
  return [
    ...column(coreLabel, "cores", "dim"),
    ...column(barWidth, coreBar(use.busy, use.cores, Math.max(1, barWidth), theme), tone),
    ...column(cores, `${use.busy.toFixed(1)}/${use.cores}`, "plain"),
  ];
}

/** `oversold 48/24`: slots × cores promise more than there is; `undersold`: full, and still idle. */
function verdictText(use: ReturnType<typeof coreUse>): string {
  return use.verdict === "oversold" ? `oversold ${use.promised}/${use.cores}` : (use.verdict ?? "");
}

function shortState(machine: Machine): string {
  return machine.state.type === "coolingDown" ? "cooling down" : machine.state.type;
}

function trimNumber(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(1);
}
