// All builds: a line that says what is listed and how, then the goals.
import type { ReactNode } from "react";
import { sanitizeText } from "../../format/sanitize.ts";
import type { GoalStatus } from "../../model/board/board.ts";
import { type ListLayout, statusCounts } from "../../model/screens/select-list.ts";
import type { ViewContext } from "../../model/view/context.ts";
import type { ListScreen } from "../../model/view/view-state.ts";
import type { Theme, Tone } from "../../theme.ts";
import { GoalRow } from "../rows/GoalRow.tsx";
import { inPlace } from "../rows/in-place.ts";
import { Line } from "../rows/Line.tsx";
import { type Part, part } from "../rows/parts.ts";

const STATUS_WORDS: Readonly<Record<GoalStatus, readonly [string, Tone]>> = {
  planned: ["planned", "dim"],
  waiting: ["waiting", "plain"],
  substituting: ["fetching", "transfer"],
  building: ["building", "active"],
  built: ["built", "good"],
  substituted: ["substituted", "good"],
  alreadyValid: ["already valid", "dim"],
  failed: ["failed", "bad"],
  cancelled: ["cancelled", "warn"],
  notBuilt: ["not built", "plain"],
};

export function ListView({
  context,
  layout,
  screen,
  height,
  theme,
}: {
  readonly context: ViewContext;
  readonly layout: ListLayout;
  readonly screen: ListScreen;
  readonly height: number;
  readonly theme: Theme;
}): ReactNode {
  const { board, now, size } = context;
  const what = screen.group === null ? screen.show : `waiting ${sanitizeText(screen.group)}`;
  const order = `by ${screen.sort}${screen.isReversed ? ", reversed" : ""}`;
  const counts = statusCounts(board).map(({ status, count }): Part => {
    const [word, tone] = STATUS_WORDS[status];
    return part(`${count} ${word}`, tone, { gap: 2, drop: 1 });
  });
  const title: Part[] = [
    part(" "),
    part(`builds: ${what}`, "title"),
    part(screen.filter === "" ? "" : `containing "${sanitizeText(screen.filter)}"`, "warn"),
    part(layout.shown === layout.total ? String(layout.total) : `${layout.shown} of ${layout.total}`, "plain"),
    part(order, "dim", { gap: 2, drop: 2 }),
    part("", "plain", { grows: true, gap: 0 }),
    ...counts,
  ];
  const blank = Math.max(0, height - 1 - layout.rows.length);
  return (
    <>
      <Line parts={title} width={size.columns} theme={theme} />
      {inPlace(layout.rows, ({ id, goal }) => (
        <GoalRow
          board={board}
          goal={goal}
          now={now}
          theme={theme}
          indent={0}
          width={size.columns}
          isSelected={id === layout.selection.id}
        />
      ))}
      <Blank count={blank} width={size.columns} theme={theme} />
    </>
  );
}

/** Rows with nothing on them: every screen fills its height, so that nothing of another one is left behind. */
export function Blank({
  count,
  width,
  theme,
}: {
  readonly count: number;
  readonly width: number;
  readonly theme: Theme;
}): ReactNode {
  const rows = new Array<null>(Math.max(0, count)).fill(null);
  return inPlace(rows, () => <Line parts={[]} width={width} theme={theme} />);
}
