// What plain output says about the run as a whole: the heartbeat, the digest of failures, the verdict.
import type { BuildStage } from "../../../engine/events/event.ts";
import { formatBytes } from "../../format/bytes.ts";
import { formatCounters, plural } from "../../format/counts.ts";
import { formatWords } from "../../format/duration.ts";
import { reasonLines } from "../../format/failure-reason.ts";
import { sanitizeLine, sanitizeText } from "../../format/sanitize.ts";
import { type Board, type Build, failureOf } from "../../model/board/board.ts";
import { estimateText } from "../../model/board/estimate.ts";
import { countersOf, countStatus } from "../../model/board/tally.ts";

const NAMED_BUILDS = 6;
const NAMED_FAILURES = 50;

const STAGE_WORDS: Readonly<Record<BuildStage, string>> = {
  preparing: "preparing",
  sendingInputs: "sending inputs",
  building: "",
  receivingOutputs: "receiving outputs",
};

/** `[3/12/40 built (1 failed), 18.2 MiB DL] after 2m41s, about 6m left: gcc-13.2.0 on itchy for 2m10s, … and 4 more`. */
export function heartbeatLine(board: Board, now: number): string {
  const elapsed = board.startedAt === null ? "" : ` after ${formatWords(now - board.startedAt)}`;
  const left = estimateText(board, now);
  return `${formatCounters(countersOf(board))}${elapsed}${left === "" ? "" : `, ${left} left`}: ${activity(board, now)}`;
}

function activity(board: Board, now: number): string {
  const builds = [...board.builds.values()].sort((one, other) => one.assignedAt - other.assignedAt);
  if (builds.length === 0) return idleWords(board, now);
  const named = builds.slice(0, NAMED_BUILDS).map((build) => buildWords(board, build, now));
  const more = builds.length - named.length;
  return named.join(", ") + (more > 0 ? ` and ${more} more` : "");
}

function buildWords(board: Board, build: Build, now: number): string {
  const name = sanitizeText(build.goal.description.name);
  const round = build.rounds > 1 ? ` round ${build.round}/${build.rounds}` : "";
  const stage = STAGE_WORDS[build.stage.stage];
  const transfer = stage === "" ? "" : ` (${stage}${transferWords(board, build)})`;
  return `${name}${round} on ${sanitizeText(build.machine)} for ${formatWords(now - build.stage.since)}${transfer}`;
}

function transferWords(board: Board, build: Build): string {
  for (const copy of board.copies.values())
    if (copy.claim === build.claim) return `, ${formatBytes(copy.doneBytes)} of ${formatBytes(copy.expectedBytes)}`;
  return "";
}

function idleWords(board: Board, now: number): string {
  const fetching = countStatus(board, "substituting");
  if (fetching > 0) return `fetching ${plural(fetching, "path")}`;
  const groups = [...board.tally.waiting.values()].map((group) => `${group.goals.size} ${sanitizeText(group.label)}`);
  if (groups.length > 0) return `nothing runs; waiting: ${groups.join(", ")}`;
  if (board.stage === null) return "starting";
  const detail = board.stage.detail === "" ? "" : ` ${sanitizeText(board.stage.detail)}`;
  return `${board.stage.stage}${detail} for ${formatWords(now - board.stage.since)}`;
}

/** Every failure once more at the end: what, where, why, and where its log is. */
export function digestLines(board: Board): readonly string[] {
  if (board.failures.size === 0) return [];
  const lines = ["", `${plural(board.failures.size, "build")} failed:`];
  let shown = 0;
  for (const goal of board.failures) {
    const failure = failureOf(goal);
    if (failure === null) continue;
    if (shown++ >= NAMED_FAILURES) {
      lines.push(`  … and ${board.failures.size - NAMED_FAILURES} more`);
      break;
    }
    const where = failure.machine === null ? "" : ` on ${sanitizeText(failure.machine)}`;
    lines.push(`  - ${sanitizeText(goal.id)}${where}`);
    for (const line of reasonLines(failure.message)) lines.push(`      ${sanitizeText(line)}`);
    const decisive = failure.logTail.at(-1);
    if (decisive !== undefined) lines.push(`      > ${sanitizeLine(decisive)}`);
    if (failure.logFile !== null) lines.push(`      log: ${sanitizeText(failure.logFile)}`);
  }
  const unnamed = [...board.hooks.values()].filter(
    (hook) => hook.state.type === "failed" || hook.state.type === "left",
  );
  if (unnamed.length > 0) lines.push(`${plural(unnamed.length, "hook")} failed or not run`);
  return lines;
}

/** `[12 built (1 failed), 18.2 MiB DL] failed after 2m41s: 12 built, 3 substituted, 1 failed, 2 not built`. */
export function summaryLine(board: Board): string {
  if (board.run.type !== "finished") return `${formatCounters(countersOf(board))} not finished`;
  const { outcome, at } = board.run;
  const parts = [
    part(outcome.built, "built"),
    part(outcome.substituted, "substituted"),
    part(outcome.alreadyValid, "already valid"),
    part(outcome.failed, "failed"),
    part(outcome.cancelled, "cancelled"),
    part(outcome.notBuilt, "not built"),
  ].filter((text) => text !== "");
  const took = board.startedAt === null ? "" : ` after ${formatWords(at - board.startedAt)}`;
  return `${formatCounters(countersOf(board))} ${verdictWord(outcome)}${took}${parts.length > 0 ? `: ${parts.join(", ")}` : outcome.exitStatus === 0 ? ": nothing to do" : ""}`;
}

/** The verdict and the exit status come from the same value. */
export function verdictWord(outcome: { readonly exitStatus: number; readonly interrupted: boolean }): string {
  if (outcome.interrupted) return "interrupted";
  return outcome.exitStatus === 0 ? "done" : `failed (exit status ${outcome.exitStatus})`;
}

function part(count: number, word: string): string {
  return count === 0 ? "" : `${count} ${word}`;
}
