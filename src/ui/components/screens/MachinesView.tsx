// The builders: one row each, and everything known of the selected one.
import type { ReactNode } from "react";
import { formatBytes } from "../../format/bytes.ts";
import { plural } from "../../format/counts.ts";
import { formatClock, formatRough } from "../../format/duration.ts";
import { sanitizeText } from "../../format/sanitize.ts";
import type { Machine } from "../../model/board/board.ts";
import { coreUse } from "../../model/board/core-use.ts";
import type { MachinesLayout } from "../../model/screens/select-others.ts";
import type { ViewContext } from "../../model/view/context.ts";
import type { Theme } from "../../theme.ts";
import { coreBar } from "../rows/bars.ts";
import { inPlace } from "../rows/in-place.ts";
import { Line } from "../rows/Line.tsx";
import { MachineRow, stateWords } from "../rows/MachineRow.tsx";
import { machineColumns } from "../rows/machine-columns.ts";
import { type Part, part } from "../rows/parts.ts";
import { Blank } from "./ListView.tsx";

export function MachinesView({
  context,
  layout,
  height,
  theme,
}: {
  readonly context: ViewContext;
  readonly layout: MachinesLayout;
  readonly height: number;
  readonly theme: Theme;
}): ReactNode {
  const { board, now, size } = context;
  const width = size.columns;
  const columns = machineColumns(board.machines.values(), width, theme.isSpoken);
  const details = layout.selected === null ? [] : detailRows(layout.selected, now, theme).slice(0, layout.detailHeight);
  const title = [part(" "), part("builders", "title"), part(String(board.machines.size), "plain")];
  const rule = layout.detailHeight > 0 ? 1 : 0;
  return (
    <>
      <Line parts={title} width={width} theme={theme} />
      {inPlace(layout.rows, ({ id, machine }) => (
        <MachineRow
          machine={machine}
          columns={columns}
          width={width}
          now={now}
          theme={theme}
          isSelected={id === layout.selection.id}
        />
      ))}
      {rule > 0 && <Line parts={[part(theme.glyphs.rule.repeat(width), "dim")]} width={width} theme={theme} />}
      {inPlace(details, (parts) => (
        <Line parts={parts} width={width} theme={theme} />
      ))}
      <Blank count={height - 1 - layout.rows.length - rule - details.length} width={width} theme={theme} />
    </>
  );
}

/** Facts of one builder, a label and a value a row. */
export function detailRows(machine: Machine, now: number, theme: Theme): readonly (readonly Part[])[] {
  const { description, identity, usage, done } = machine;
  const use = coreUse(machine);
  const state = stateWords(machine, now);
  const rows: (readonly [string, string])[] = [
    ["address", sanitizeText(description.uri)],
    ["state", state?.text ?? machine.state.type],
    ["store", identity === null ? "not connected yet" : identityText(identity)],
    ["systems", sanitizeText(description.systems.join(", ")) || "-"],
    ["features", sanitizeText(description.supportedFeatures.join(", ")) || "-"],
    ["must require", sanitizeText(description.mandatoryFeatures.join(", ")) || "-"],
    ["slots", `${machine.busy} of ${machine.slots} in use, speed factor ${description.speedFactor}`],
    ["cores", coresText(machine, use)],
    [
      "memory",
      usage.type === "sampled"
        ? `${formatBytes(usage.memoryUsed)} of ${formatBytes(usage.memoryTotal)}`
        : usageText(machine),
    ],
    [
      "done",
      `${plural(done.built, "build")}${done.built > 0 ? `, ${formatRough(done.totalMs / done.built)} each` : ""}, ${done.failed} failed`,
    ],
    ["sent", `${formatBytes(machine.up.total)} to it, ${formatBytes(machine.down.total)} from it`],
  ];
  if (usage.type === "sampled")
    rows.splice(8, 0, [
      "each core",
      usage.cores.map((core) => coreBar(core, 1, 1, theme)).join("") +
        ` load ${usage.load1.toFixed(2)}, ${formatClock(now - usage.at)} ago`,
    ]);
  return rows.map(([label, value]) => [part(" "), part(label, "dim", { width: 13 }), part(value, "plain", { min: 4 })]);
}

function identityText(identity: NonNullable<Machine["identity"]>): string {
  const trusted =
    identity.trusted === null ? "trust unknown" : identity.trusted ? "trusted" : "not trusted: takes signed paths only";
  if (identity.protocol === "embedded") return `tsbuild-top's own, ${trusted}`;
  return `${sanitizeText(identity.protocol)}, Nix ${sanitizeText(identity.nixVersion ?? "of unknown version")}, ${trusted}`;
}

function coresText(machine: Machine, use: ReturnType<typeof coreUse>): string {
  const each = machine.description.buildCores;
  const promise =
    each === null
      ? "cores of a build unknown"
      : `${plural(machine.slots, "slot")} × ${each === 0 ? "all cores" : plural(each, "core")}${use.promised === null ? "" : ` = ${use.promised}`}`;
  const has = use.cores === null ? "" : `, machine has ${use.cores}`;
  const busy = use.busy === null ? "" : `, ${use.busy.toFixed(1)} in use`;
  return `${promise}${has}${busy}${use.verdict === null ? "" : `: ${use.verdict}`}`;
}

function usageText(machine: Machine): string {
  return machine.usage.type === "unavailable"
    ? `not measured: ${sanitizeText(machine.usage.reason)}`
    : "not measured yet";
}
