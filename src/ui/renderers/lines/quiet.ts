// Only what went wrong and the verdict: `--ui quiet`.
import type { PublishedEvent } from "../../../engine/events/event.ts";
import { sanitizeText } from "../../format/sanitize.ts";
import { createBoard, failureOf } from "../../model/board/board.ts";
import { reduce } from "../../model/board/reduce.ts";
import { createStops } from "../board/interrupts.ts";
import { wantsColor } from "../choose.ts";
import type { Renderer, RendererPorts } from "../renderer.ts";
import { createLineWriter } from "./line-writer.ts";
import { failureLines } from "./nix-words.ts";
import { noticeLines } from "./notice-lines.ts";
import { summaryLine } from "./plain-summary.ts";

/** Errors and the verdict of a run that failed on stderr, out paths on stdout; nothing else. */
export function createQuietRenderer(ports: RendererPorts): Renderer {
  const board = createBoard();
  const out = createLineWriter(ports.stdout, ports.outputClosed);
  const err = createLineWriter(ports.stderr, ports.outputClosed);
  const stops = createStops(ports.send);
  const color = wantsColor(ports.env, ports.stderr.isTTY === true);
  const show = ({ event }: PublishedEvent): void => {
    if (event.type === "noticeRaised" && event.level === "error") {
      err.lines(noticeLines("error: ", event.message, event.hint, color));
    }
    if (event.type !== "goalFinished" || event.result.type !== "failed") return;
    const goal = board.goals.get(event.goal);
    const failure = goal === undefined ? null : failureOf(goal);
    if (goal === undefined || failure === null) return;
    const machine = failure.machine === null ? undefined : board.machines.get(failure.machine);
    const on =
      failure.machine === null || failure.machine === "local" ? null : (machine?.description.uri ?? failure.machine);
    err.lines(failureLines(goal.id, failure, on, ports.options, color));
  };
  return {
    start: () => undefined,
    accept: (events) => {
      for (const event of events) {
        reduce(board, event);
        show(event);
      }
    },
    notice: (message) => err.line(sanitizeText(message)),
    leave: () => undefined,
    interrupt: () => {
      stops.interrupt();
    },
    finish: async () => {
      if (board.run.type !== "finished") return;
      const { outcome } = board.run;
      if (outcome.exitStatus !== 0) err.line(summaryLine(board));
      if (ports.options.printOutPaths) out.lines(outcome.outputs.map((path) => sanitizeText(path)));
    },
    restore: () => undefined,
  };
}
