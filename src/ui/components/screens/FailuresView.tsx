// What failed: one row each, and of the selected one the whole message, the last lines, and where the rest is.
import type { ReactNode } from "react";
import { sanitizeLine, sanitizeText } from "../../format/sanitize.ts";
import { failureOf, type Goal } from "../../model/board/board.ts";
import type { FailuresLayout } from "../../model/screens/select-others.ts";
import type { ViewContext } from "../../model/view/context.ts";
import type { Theme } from "../../theme.ts";
import { inPlace } from "../rows/in-place.ts";
import { Line } from "../rows/Line.tsx";
import { FailureRow } from "../rows/PanelRows.tsx";
import { type Part, part } from "../rows/parts.ts";
import { Blank } from "./ListView.tsx";

export function FailuresView({
  context,
  layout,
  height,
  theme,
}: {
  readonly context: ViewContext;
  readonly layout: FailuresLayout;
  readonly height: number;
  readonly theme: Theme;
}): ReactNode {
  const width = context.size.columns;
  if (layout.rows.length === 0)
    return (
      <>
        <Line parts={[part(" "), part("nothing has failed", "good")]} width={width} theme={theme} />
        <Blank count={height - 1} width={width} theme={theme} />
      </>
    );
  const details = layout.selected === null ? [] : failureDetails(layout.selected, layout.detailHeight);
  const rule = layout.detailHeight > 0 ? 1 : 0;
  return (
    <>
      {inPlace(layout.rows, ({ id, goal }) => (
        <FailureRow
          goal={goal}
          width={width}
          nameWidth={Math.max(12, Math.floor(width * 0.25))}
          theme={theme}
          isSelected={id === layout.selection.id}
        />
      ))}
      {rule > 0 && <Line parts={[part(theme.glyphs.rule.repeat(width), "dim")]} width={width} theme={theme} />}
      {inPlace(details, (parts) => (
        <Line parts={parts} width={width} theme={theme} />
      ))}
      <Blank count={height - layout.rows.length - rule - details.length} width={width} theme={theme} />
    </>
  );
}

/** The message and the facts first, then as many of the last lines as there is room for. */
export function failureDetails(goal: Goal, height: number): readonly (readonly Part[])[] {
  const failure = failureOf(goal);
  if (failure === null) return [];
  const fact = (label: string, value: string): readonly Part[] => [
    part(" "),
    part(label, "dim", { width: 13 }),
    part(value, "plain", { min: 4 }),
  ];
  const rows: (readonly Part[])[] = [
    ...failure.message
      .split("\n")
      .slice(0, 4)
      // The row below names the derivation.
      .map((line) => [part(" "), part(sanitizeText(line.replace(` for '${goal.id}'`, "")), "bad", { min: 4 })]),
    fact("derivation", sanitizeText(goal.id)),
    fact(
      "status",
      `${failure.status}, ${failure.kind === "final" ? "the builder's own failure" : "the machinery around it failed"}`,
    ),
  ];
  if (failure.machine !== null) rows.push(fact("machine", sanitizeText(failure.machine)));
  if (failure.logFile !== null) rows.push(fact("whole log", sanitizeText(failure.logFile)));
  if (failure.keptDirectory !== null) rows.push(fact("kept in", sanitizeText(failure.keptDirectory)));
  for (const attempt of failure.attempts) rows.push(fact("tried before", sanitizeText(attempt)));
  for (const difference of goal.differences) {
    rows.push(
      fact(
        "differs",
        `output ${sanitizeText(difference.output)}, round ${difference.round} on ${sanitizeText(difference.otherMachine)}`,
      ),
    );
    rows.push(
      ...difference.summary.map((line): readonly Part[] => [
        part("   "),
        part(sanitizeLine(line), "plain", { min: 4 }),
      ]),
    );
  }
  const room = Math.max(0, height - rows.length);
  const tail = room === 0 ? [] : failure.logTail.slice(-room);
  return [
    ...rows,
    ...tail.map((line): readonly Part[] => [
      part(" "),
      part(">", "dim"),
      part(sanitizeLine(line), "plain", { min: 4 }),
    ]),
  ].slice(0, height);
}
