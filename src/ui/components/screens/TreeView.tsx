// Dependencies around one build: what it needs above it, what needs it below.
import type { ReactNode } from "react";
import { standingOf, type TreeLayout, type TreeRow } from "../../model/screens/select-tree.ts";
import type { ViewContext } from "../../model/view/context.ts";
import type { Theme } from "../../theme.ts";
import { GoalRow } from "../rows/GoalRow.tsx";
import { inPlace } from "../rows/in-place.ts";
import { Line } from "../rows/Line.tsx";
import { type Part, part } from "../rows/parts.ts";
import { Blank } from "./ListView.tsx";

export function TreeView({
  context,
  layout,
  height,
  theme,
}: {
  readonly context: ViewContext;
  readonly layout: TreeLayout;
  readonly height: number;
  readonly theme: Theme;
}): ReactNode {
  const { board, now, size } = context;
  const width = size.columns;
  return (
    <>
      {inPlace(layout.rows, (row) =>
        row.type === "heading" ? (
          <Line
            parts={[part(" "), part(row.text, "title"), part(String(row.goals.length), "plain"), ...standingParts(row)]}
            width={width}
            theme={theme}
          />
        ) : (
          <GoalRow
            board={board}
            now={now}
            theme={theme}
            width={width}
            goal={row.goal}
            indent={row.isFocus ? 0 : 2}
            isSelected={row.id === layout.selection.id}
          />
        ),
      )}
      <Blank count={height - layout.rows.length} width={width} theme={theme} />
    </>
  );
}

/** `2 not done  1 without a result`; `all done` is said only of what is. */
function standingParts({ goals }: Extract<TreeRow, { type: "heading" }>): readonly Part[] {
  const { open, lost } = standingOf(goals);
  if (goals.length > 0 && open === 0 && lost === 0) return [part("all done", "good", { gap: 2 })];
  return [
    part(open === 0 ? "" : `${open} not done`, "warn", { gap: 2 }),
    part(lost === 0 ? "" : `${lost} without a result`, "bad", { gap: 2 }),
  ];
}
