// The rows below the machines: what waits and why, hooks, failures, notices.
import type { ReactNode } from "react";
import { asSentence, stopped } from "../../../engine/base/errors.ts";
import { plural } from "../../format/counts.ts";
import { formatClock } from "../../format/duration.ts";
import { failureReason } from "../../format/failure-reason.ts";
import { sanitizeLine, sanitizeText } from "../../format/sanitize.ts";
import type { WaitingGroup } from "../../model/board/board.ts";
import { type Board, failureOf, type Goal, type Hook, type Notice } from "../../model/board/board.ts";
import type { Theme, Tone } from "../../theme.ts";
import { Line } from "./Line.tsx";
import { type Part, part } from "./parts.ts";

/** Names shown beside a group, at most. */
const NAMED = 12;

export interface RowLook {
  readonly width: number;
  readonly nameWidth: number;
  readonly theme: Theme;
  readonly isSelected: boolean;
}

/** `waiting 22   18 for inputs   gcc-13.2.0, foo-1.0, …`. */
export function WaitingRow(
  props: RowLook & { readonly group: WaitingGroup; readonly isFirst: boolean; readonly total: number },
): ReactNode {
  const { group, isFirst, total, width, theme, isSelected } = props;
  const names: string[] = [];
  for (const goal of group.goals) {
    if (names.length >= NAMED) break;
    names.push(sanitizeText(goal.description.name));
  }
  const parts: Part[] = [
    cursor(theme, isSelected),
    part(isFirst ? `waiting ${total}` : "", "strong", { width: width >= 60 ? 14 : 12 }),
    part(`${group.goals.size} ${sanitizeText(group.label)}`, "plain", {
      width: Math.max(20, Math.floor(width * 0.28)),
      min: 10,
    }),
    part(names.join(", "), "dim", { grows: true, min: 0, gap: 2, drop: 1 }),
  ];
  return <Line parts={parts} width={width} theme={theme} isSelected={isSelected} />;
}

/** `hooks   1 running, 3 queued`. */
export function HooksRow({ board, width, theme }: RowLook & { readonly board: Board }): ReactNode {
  const { queued, running, retrying, succeeded, failed, left, givenUp } = board.hookTally;
  const words = [
    [running, "running"],
    [queued, "queued"],
    [retrying, "to be tried again"],
    [failed, "failed"],
    [left, "left for later"],
    [givenUp, "given up"],
    [succeeded, "done"],
  ] as const;
  const text = words
    .filter(([count]) => count > 0)
    .map(([count, word]) => `${count} ${word}`)
    .join(", ");
  const parts = [
    cursor(theme, false),
    part("hooks", "strong", { width: width >= 60 ? 14 : 12 }),
    part(text, failed > 0 ? "warn" : "plain", { min: 10 }),
  ];
  return <Line parts={parts} width={width} theme={theme} />;
}

const HOOK_WORDS = { postBuild: "post-build", diff: "diff", upload: "upload" } as const;

export function HookRow(
  props: RowLook & { readonly hook: Hook; readonly goal: Goal | undefined; readonly now: number },
): ReactNode {
  const { hook, goal, nameWidth, width, theme, isSelected, now } = props;
  const [text, tone, glyph] = hookText(hook, now, theme);
  const parts: Part[] = [
    cursor(theme, isSelected),
    part(glyph, tone),
    part(sanitizeText(goal?.description.name ?? ""), "plain", { width: nameWidth, min: 8 }),
    part(`${HOOK_WORDS[hook.kind]} hook`, "dim", { width: 16, drop: 2 }),
    part(text, tone, { min: 6 }),
    part(sanitizeLine(hook.log.line(hook.log.total - 1) ?? "", 300), "dim", { gap: 2, min: 0, grows: true, drop: 1 }),
  ];
  return <Line parts={parts} width={width} theme={theme} isSelected={isSelected} />;
}

function hookText(hook: Hook, now: number, theme: Theme): readonly [string, Tone, string] {
  const { state } = hook;
  const { glyphs } = theme;
  switch (state.type) {
    case "queued":
      return ["queued", "dim", glyphs.waiting];
    case "running":
      return [
        `${formatClock(now - state.since)}${state.attempt > 1 ? ` (attempt ${state.attempt})` : ""}`,
        "plain",
        glyphs.running,
      ];
    case "retrying":
      return [`again in ${formatClock(state.at - now)}: ${sanitizeText(state.reason)}`, "warn", glyphs.waiting];
    case "succeeded":
      return [formatClock(state.durationMs), "good", glyphs.good];
    case "failed":
      return [sanitizeText(state.reason), "bad", glyphs.bad];
    case "left":
      return [`left for later: ${sanitizeText(state.reason)}`, "warn", glyphs.skipped];
    case "givenUp":
      return [
        `given up after ${plural(state.attempts, "try", "tries")}: ${sanitizeText(state.reason)}`,
        "warn",
        glyphs.skipped,
      ];
    case "dropped":
      return [sanitizeText(state.reason), "dim", glyphs.skipped];
  }
}

/** `✘ bar-0.3   builder exit 1 on itchy   make: *** [all] Error 2`. */
export function FailureRow({
  goal,
  nameWidth,
  width,
  theme,
  isSelected,
}: RowLook & { readonly goal: Goal }): ReactNode {
  const failure = failureOf(goal);
  const where = failure?.machine ?? null;
  const message = failure === null ? "" : shortMessage(failure.message, goal);
  const parts: Part[] = [
    cursor(theme, isSelected),
    part(theme.glyphs.bad, "bad"),
    part(sanitizeText(goal.description.name), "bad", { width: nameWidth, min: 8 }),
    part(where === null ? message : `${message} on ${sanitizeText(where)}`, "plain", { min: 12 }),
    part(sanitizeLine(decisiveLine(failure?.logTail ?? []), 400), "dim", { gap: 3, min: 0, grows: true, drop: 1 }),
  ];
  return <Line parts={parts} width={width} theme={theme} isSelected={isSelected} />;
}

/** The message without the derivation's path, which the row names already. */
export function shortMessage(message: string, goal: Goal): string {
  return sanitizeText(failureReason(message), 600)
    .replace(` for '${goal.id}'`, "")
    .replace(`'${goal.id}'`, goal.description.name)
    .replace(/^build of .* failed: /, "");
}

/** The last line that says something. */
export function decisiveLine(tail: readonly string[]): string {
  return tail.findLast((line) => line.trim() !== "") ?? "";
}

export function NoticeRow({
  notice,
  width,
  theme,
}: {
  readonly notice: Notice;
  readonly width: number;
  readonly theme: Theme;
}): ReactNode {
  const tone: Tone = notice.level === "error" ? "bad" : "warn";
  const parts: Part[] = [
    cursor(theme, false),
    part(notice.level === "error" ? theme.glyphs.bad : theme.glyphs.warn, tone),
    part(sanitizeText(notice.hint === null ? notice.message : stopped(notice.message)), tone, { min: 12 }),
    part(notice.hint === null ? "" : sanitizeText(asSentence(notice.hint)), "dim", {
      gap: 1,
      min: 0,
      grows: true,
      drop: 1,
    }),
  ];
  return <Line parts={parts} width={width} theme={theme} />;
}

/** The mark of the selected row, or its room. */
export function cursor(theme: Theme, isSelected: boolean): Part {
  return part(isSelected ? theme.glyphs.cursor : " ", "key");
}
