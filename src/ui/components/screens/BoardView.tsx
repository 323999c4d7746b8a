// The board itself: every row of its layout as what it is.
import type { ReactNode } from "react";
import { nameColumn } from "../../model/board/name-column.ts";
import type { BoardLayout, BoardRow } from "../../model/screens/select-board.ts";
import type { ViewContext } from "../../model/view/context.ts";
import type { Theme } from "../../theme.ts";
import { inPlace } from "../rows/in-place.ts";
import { IdleRow, LaneRow } from "../rows/LaneRow.tsx";
import { Line } from "../rows/Line.tsx";
import { MachineRow } from "../rows/MachineRow.tsx";
import { type MachineColumns, machineColumns } from "../rows/machine-columns.ts";
import { FailureRow, HookRow, HooksRow, NoticeRow, WaitingRow } from "../rows/PanelRows.tsx";
import { part } from "../rows/parts.ts";

export interface BoardViewProps {
  readonly context: ViewContext;
  readonly layout: BoardLayout;
  readonly theme: Theme;
}

export function BoardView({ context, layout, theme }: BoardViewProps): ReactNode {
  const { board, size } = context;
  const columns = machineColumns(board.machines.values(), size.columns, theme.isSpoken);
  const nameWidth = nameColumn(board, size.columns, size.columns < 60 ? 0.5 : 0.3);
  if (layout.rows.every((row) => row.type === "blank"))
    return <EmptyBoard context={context} layout={layout} theme={theme} />;
  return inPlace(layout.rows, (row) => (
    <Row row={row} context={context} layout={layout} theme={theme} columns={columns} nameWidth={nameWidth} />
  ));
}

interface RowProps extends BoardViewProps {
  readonly row: BoardRow;
  readonly columns: MachineColumns;
  readonly nameWidth: number;
}

function Row({ row, context, layout, theme, columns, nameWidth }: RowProps): ReactNode {
  const { board, now, size } = context;
  const isSelected = row.id !== null && row.id === layout.selection.id;
  const look = { width: size.columns, nameWidth, theme, isSelected };
  switch (row.type) {
    case "machine":
      return <MachineRow machine={row.machine} columns={columns} now={now} {...look} />;
    case "lane":
      return <LaneRow board={board} build={row.build} ended={row.ended} now={now} {...look} />;
    case "idle":
      return <IdleRow width={size.columns} theme={theme} />;
    case "waiting":
      return <WaitingRow group={row.group} isFirst={row.isFirst} total={row.total} {...look} />;
    case "hooks":
      return <HooksRow board={board} {...look} />;
    case "hook":
      return <HookRow hook={row.hook} goal={board.goals.get(row.hook.goal)} now={now} {...look} />;
    case "failure":
      return <FailureRow goal={row.goal} {...look} />;
    case "notice":
      return <NoticeRow notice={row.notice} width={size.columns} theme={theme} />;
    case "more":
      return <Line parts={[part(" "), part(row.text, "dim")]} width={size.columns} theme={theme} />;
    case "blank":
      return <Line parts={[]} width={size.columns} theme={theme} />;
  }
}

/** Before anything is known: what the program does meanwhile, so that the first frame is not empty. */
function EmptyBoard({ context, layout, theme }: BoardViewProps): ReactNode {
  const { board, size } = context;
  const text = board.run.type === "notStarted" ? "starting" : "no builders yet";
  return inPlace(layout.rows, (_row, index) => (
    <Line parts={index === 1 ? [part(" "), part(text, "dim")] : []} width={size.columns} theme={theme} />
  ));
}
