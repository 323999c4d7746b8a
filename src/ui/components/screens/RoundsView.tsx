// Rounds and checks: a row for each derivation that is compared, and of the selected one what differs where, and what the diff hook printed.
import type { ReactNode } from "react";
import { sanitizeLine, sanitizeText } from "../../format/sanitize.ts";
import type { Goal } from "../../model/board/board.ts";
import { nameColumn } from "../../model/board/name-column.ts";
import {
  type RoundState,
  type RoundsLayout,
  type RoundsVerdict,
  roundStates,
  roundsVerdict,
} from "../../model/screens/select-rounds.ts";
import type { ViewContext } from "../../model/view/context.ts";
import type { Theme, Tone } from "../../theme.ts";
import { inPlace } from "../rows/in-place.ts";
import { Line } from "../rows/Line.tsx";
import { cursor } from "../rows/PanelRows.tsx";
import { type Part, part } from "../rows/parts.ts";
import { Blank } from "./ListView.tsx";

const VERDICTS: Readonly<Record<RoundsVerdict, readonly [string, Tone]>> = {
  differs: ["not deterministic", "bad"],
  reproducible: ["reproducible", "good"],
  comparing: ["being compared", "active"],
  unverified: ["not compared", "dim"],
  failed: ["failed", "bad"],
  cancelled: ["cancelled", "warn"],
};
const ROUND_WORDS: Readonly<Record<RoundState["verdict"], readonly [string, Tone]>> = {
  first: ["first", "plain"],
  same: ["same", "good"],
  differs: ["differs", "bad"],
  running: ["running", "active"],
};

export function RoundsView({
  context,
  layout,
  height,
  theme,
}: {
  readonly context: ViewContext;
  readonly layout: RoundsLayout;
  readonly height: number;
  readonly theme: Theme;
}): ReactNode {
  const width = context.size.columns;
  const details = layout.selected === null ? [] : roundsDetails(layout.selected, layout.detailHeight);
  const rule = layout.detailHeight > 0 ? 1 : 0;
  const nameWidth = nameColumn(context.board, width, 0.25);
  return (
    <>
      <Line parts={title(layout)} width={width} theme={theme} />
      {inPlace(layout.rows, ({ id, goal }) => (
        <Line
          parts={rowParts(goal, nameWidth, theme, id === layout.selection.id)}
          width={width}
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

function title({ counts }: RoundsLayout): readonly Part[] {
  const shown = (Object.keys(VERDICTS) as RoundsVerdict[]).filter((verdict) => counts[verdict] > 0);
  return [
    part(" "),
    part("rounds and checks", "title"),
    ...shown.map((verdict) => part(`${counts[verdict]} ${VERDICTS[verdict][0]}`, VERDICTS[verdict][1], { gap: 2 })),
    ...(shown.length === 0 ? [part("nothing is compared", "dim", { gap: 2 })] : []),
  ];
}

function rowParts(goal: Goal, nameWidth: number, theme: Theme, isSelected: boolean): readonly Part[] {
  const verdict = roundsVerdict(goal);
  const [words, tone] = VERDICTS[verdict];
  const glyph = {
    differs: "bad",
    reproducible: "good",
    comparing: "running",
    unverified: "waiting",
    failed: "bad",
    cancelled: "cancelled",
  } as const;
  const rounds = roundStates(goal).flatMap(({ machine, verdict: round }): readonly Part[] => [
    part(`${sanitizeText(machine)}:`, "dim", { gap: 2, min: 4 }),
    part(...ROUND_WORDS[round]),
  ]);
  return [
    cursor(theme, isSelected),
    part(theme.glyphs[glyph[verdict]], tone),
    part(sanitizeText(goal.description.name), "plain", { width: nameWidth }),
    part(words, tone, { width: 17 }),
    ...rounds,
  ];
}

/**
 * At most `height` rows: which outputs differ between which rounds, in what, and where both results are; and what the diff hook said, which has half the
 * room when there is not enough.
 */
export function roundsDetails(goal: Goal, height: number): readonly (readonly Part[])[] {
  const fact = (label: string, value: string, tone: Tone = "plain"): readonly Part[] => [
    part(" "),
    part(label, "dim", { width: 13 }),
    part(value, tone, { min: 4 }),
  ];
  const rows: (readonly Part[])[] = [fact("derivation", sanitizeText(goal.id))];
  for (const difference of goal.differences) {
    const { output, round, firstMachine, otherMachine, firstPath, otherPath, summary } = difference;
    const where = `round ${round} on ${sanitizeText(otherMachine)}, compared with ${sanitizeText(firstMachine)}`;
    rows.push(fact("differs", `output ${sanitizeText(output)}, ${where}`, "bad"));
    rows.push(...summary.map((line) => [part("   "), part(sanitizeLine(line), "plain", { min: 4 })]));
    rows.push(fact("the first", sanitizeText(firstPath)));
    if (otherPath !== null) rows.push(fact("the other", sanitizeText(otherPath)));
  }
  const said: (readonly Part[])[] = (goal.diffLog?.tail(DIFF_LINES) ?? []).map((line) => [
    part(" "),
    part(">", "dim"),
    part(sanitizeLine(line), "plain", { min: 4 }),
  ]);
  if (said.length > 0) said.unshift(fact("diff hook", "says", "dim"));
  const room = Math.max(height - said.length, Math.ceil(height / 2));
  return [...rows.slice(0, room), ...said].slice(0, height);
}

/** Lines of a diff hook the screen may have room for. */
const DIFF_LINES = 200;
