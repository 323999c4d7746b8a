// Dependencies around one build: what it needs above it, what needs it below.
import type { ReactNode } from "react";
import type { ViewContext } from "../model/context.ts";
import type { TreeLayout } from "../model/select-tree.ts";
import type { Theme } from "../theme.ts";
import { GoalRow } from "./GoalRow.tsx";
import { inPlace } from "./in-place.ts";
import { Line } from "./Line.tsx";
import { Blank } from "./ListView.tsx";
import { part } from "./parts.ts";

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
            parts={[
              part(" "),
              part(row.text, "title"),
              part(String(row.count), "plain"),
              part(
                row.count === 0 ? "" : row.open === 0 ? "all done" : `${row.open} not done`,
                row.open === 0 ? "good" : "warn",
                { gap: 2 },
              ),
            ]}
            width={width}
            theme={theme}
          />
        ) : (
          <GoalRow
            {...{ board, now, theme, width }}
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
