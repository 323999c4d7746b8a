// The bottom of every screen: what is known of the selected row, and below it the question asked, the text typed, the last answer, or the keys.
import type { ReactNode } from "react";
import { formatClock } from "../format/duration.ts";
import { sanitizeText } from "../format/sanitize.ts";
import { type EndedBuild, isAtRest } from "../model/board/board.ts";
import { goalOf, type ViewContext } from "../model/view/context.ts";
import { keyText } from "../model/view/key-text.ts";
import { footerBindings } from "../model/view/keymap.ts";
import type { Theme } from "../theme.ts";
import { goalWords, waitingText } from "./rows/goal-words.ts";
import { Line } from "./rows/Line.tsx";
import { shortMessage } from "./rows/PanelRows.tsx";
import { type Part, part } from "./rows/parts.ts";

/** How long an answer stays. */
export const FLASH_MS = 5000;

export function Footer({ context, theme }: { readonly context: ViewContext; readonly theme: Theme }): ReactNode {
  const { view, now, size } = context;
  const { confirm, input, flash } = view;
  let parts: readonly Part[];
  if (confirm !== null)
    parts = [
      part(theme.glyphs.warn, "warn"),
      part(confirm.question, "bad", { min: 10 }),
      part("y", "key", { gap: 2 }),
      part("yes"),
      part("n", "key", { gap: 2 }),
      part("no"),
    ];
  else if (input !== null)
    parts = [
      part(input.purpose === "filter" ? "filter" : "find", "dim"),
      part(`/${input.text}${theme.glyphs.caret}`, "strong", { min: 4 }),
      part(keyText("return", theme.isAscii), "key", { gap: 3, drop: 1 }),
      part(input.purpose === "filter" ? "keep" : "find", "plain", { drop: 1 }),
      part("Esc", "key", { gap: 2, drop: 1 }),
      part("as before", "plain", { drop: 1 }),
    ];
  else if (flash !== null && now - flash.at < FLASH_MS)
    parts = [
      part(flash.tone === "good" ? theme.glyphs.good : theme.glyphs.warn, flash.tone),
      part(flash.text, flash.tone, { min: 10 }),
    ];
  else parts = keyParts(context, theme);
  return <Line parts={parts} width={size.columns} theme={theme} />;
}

function keyParts(context: ViewContext, theme: Theme): readonly Part[] {
  const bindings = footerBindings(context);
  return bindings.flatMap((binding, index): readonly Part[] => {
    const isMove = binding.action === "moveDown";
    const name = isMove ? theme.glyphs.arrows : keyText(binding.keys[0] ?? "", theme.isAscii);
    // What is most useful is dropped last; how to get help and out is never dropped before it.
    const drop = binding.footer !== null && binding.footer >= 80 ? 1 : index + 2;
    return [
      part(name, "key", { gap: index === 0 ? 0 : 2, drop }),
      part(labelOf(binding.action, binding.label, context), "dim", { drop }),
    ];
  });
}

/** Words that depend on what the key would do now. */
function labelOf(action: string, label: string, context: ViewContext): string {
  if (action === "togglePause") return context.board.isPaused ? "resume" : label;
  if (action === "quit" && context.view.screens.length > 1) return "back";
  if (action === "quit" && (isAtRest(context.board.run) || context.replay !== null)) return "leave";
  if (action === "quit" && context.view.stop !== null) return "cancel all";
  if (action === "follow" && context.screen.type === "log")
    return context.screen.top === null ? "stop following" : label;
  if (action === "toggleCordon" && context.selected.type === "machine") {
    const { type } = context.selected.machine.state;
    return type === "cordoned" || type === "draining" ? "uncordon" : label;
  }
  return label;
}

/** What is selected, in one row under a rule: the whole path, why it waits or why it runs where it runs. */
export function Detail({
  context,
  theme,
  height,
}: {
  readonly context: ViewContext;
  readonly theme: Theme;
  readonly height: number;
}): ReactNode {
  const width = context.size.columns;
  return (
    <>
      {height > 1 && <Line parts={[part(theme.glyphs.rule.repeat(width), "dim")]} width={width} theme={theme} />}
      <Line parts={[part(detailText(context, theme), "dim", { min: 4 })]} width={width} theme={theme} />
    </>
  );
}

function logDetail({ goal, logFile, build, ended }: Extract<ViewContext["layout"], { type: "log" }>): string {
  if (goal === null) return "";
  // Where there is little room, the file is what else cannot be found.
  const whole = logFile === null ? "" : `whole log: ${sanitizeText(logFile)} · `;
  const why =
    build === null || ended !== null || build.explanation === "" || logFile !== null
      ? ""
      : ` · ${sanitizeText(build.explanation)}`;
  return `${whole}${sanitizeText(goal.id)}${why}`;
}

/** How a build ended: why it was put where it ran is of no use any more. */
function endWords({ build, result, durationMs }: EndedBuild): string {
  const took = formatClock(durationMs);
  switch (result.type) {
    case "built":
      return `built in ${took}`;
    case "alreadyValid":
      return "already valid";
    case "cancelled":
      return `cancelled after ${took}`;
    case "failed":
      return `failed after ${took}: ${shortMessage(result.message, build.goal)}`;
  }
}

function detailText(context: ViewContext, theme: Theme): string {
  const { board, selected, now, screen } = context;
  if (screen.type === "help") return "";
  if (context.layout.type === "log") return logDetail(context.layout);
  if (selected.type === "build") {
    const { build, ended } = selected;
    const why = ended === null ? sanitizeText(build.explanation) : endWords(ended);
    return `${sanitizeText(build.goal.id)} on ${sanitizeText(build.machine)}${why === "" ? "" : ` · ${why}`}`;
  }
  if (selected.type === "machine") {
    const { uri, systems, supportedFeatures } = selected.machine.description;
    const features = supportedFeatures.length === 0 ? "" : ` · ${sanitizeText(supportedFeatures.join(", "))}`;
    return `${sanitizeText(uri)} · ${sanitizeText(systems.join(", "))}${features}`;
  }
  if (selected.type === "waiting")
    return `${selected.group.goals.size} waiting ${sanitizeText(selected.group.label)}: Enter lists them`;
  if (selected.type === "hook") return sanitizeText(selected.hook.paths.join(" "));
  const goal = goalOf(selected);
  if (goal === null) return "";
  const reason =
    goal.state.type === "waiting"
      ? `waiting ${waitingText(board, goal, now)}`
      : goalWords(board, goal, now, theme).text;
  return `${sanitizeText(goal.id)} · ${reason}`;
}
