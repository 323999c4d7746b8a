// One goal as a row of a list: state, name, where and why, time.
import type { ReactNode } from "react";
import { sanitizeText } from "../../format/sanitize.ts";
import type { Board, Goal } from "../../model/board/board.ts";
import type { Theme } from "../../theme.ts";
import { goalWords } from "./goal-words.ts";
import { Line } from "./Line.tsx";
import { part } from "./parts.ts";

export interface GoalRowProps {
  readonly board: Board;
  readonly goal: Goal;
  readonly indent: number;
  readonly width: number;
  readonly now: number;
  readonly theme: Theme;
  readonly isSelected: boolean;
}

export function GoalRow({ board, goal, indent, width, now, theme, isSelected }: GoalRowProps): ReactNode {
  const words = goalWords(board, goal, now, theme);
  const nameWidth = Math.max(12, Math.floor((width - indent) * (width < 60 ? 0.5 : 0.34)));
  const parts = [
    part(isSelected ? theme.glyphs.cursor : " ", "key"),
    part(" ".repeat(indent), "plain", { gap: 0 }),
    part(words.glyph, words.tone),
    part(
      sanitizeText(goal.description.name),
      goal.state.type === "finished" && words.tone === "dim" ? "dim" : "plain",
      { width: nameWidth, min: 10 },
    ),
    part(goal.description.isTarget ? theme.glyphs.target : "", "warn", { width: 1, drop: 3 }),
    part(words.time, "dim", { width: 8, align: "right", drop: 2 }),
    part(words.text, words.tone === "bad" || words.tone === "warn" ? words.tone : "dim", {
      gap: 2,
      min: 4,
      grows: true,
    }),
  ];
  return <Line parts={parts} width={width} theme={theme} isSelected={isSelected} />;
}
