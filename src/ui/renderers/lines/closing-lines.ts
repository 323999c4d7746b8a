// What the end of a run says beside its verdict: where builds ran, which took longest and what they usually take, and what failures kept from being built.
import { plural } from "../../format/counts.ts";
import { formatWords } from "../../format/duration.ts";
import { sanitizeText } from "../../format/sanitize.ts";
import type { Board, Goal } from "../../model/board/board.ts";

const NAMED_LONGEST = 3;
const NAMED_BLOCKED = 4;
const NAMED_BLOCKERS = 10;
/** A shorter build is not worth a word, in ms. */
const WORTH_NAMING_MS = 1000;

interface BuiltGoal {
  readonly goal: Goal;
  readonly machine: string;
  readonly durationMs: number;
}

/** `built: 9 on itchy, 3 here`, `longest: gcc-13.2.0 8m02s on itchy (usually 7m50s)`, `bar-0.3 kept 2 builds from …`; empty before the end. */
export function closingLines(board: Board): readonly string[] {
  if (board.run.type !== "finished") return [];
  const built = [...board.goals.values()].flatMap((goal): readonly BuiltGoal[] => {
    if (goal.state.type !== "finished" || goal.state.result.type !== "built") return [];
    const { machine, durationMs } = goal.state.result;
    return [{ goal, machine, durationMs }];
  });
  return [...placeLine(built), ...longestLine(built), ...blockedLines(board)];
}

function placeLine(built: readonly BuiltGoal[]): readonly string[] {
  const counts = new Map<string, number>();
  for (const { machine } of built) counts.set(machine, (counts.get(machine) ?? 0) + 1);
  const places = [...counts].sort((one, other) => other[1] - one[1]);
  return places.length === 0 ? [] : [`built: ${places.map(([machine, n]) => `${n} ${place(machine)}`).join(", ")}`];
}

function longestLine(built: readonly BuiltGoal[]): readonly string[] {
  const longest = built
    .filter(({ durationMs }) => durationMs >= WORTH_NAMING_MS)
    .sort((one, other) => other.durationMs - one.durationMs)
    .slice(0, NAMED_LONGEST)
    .map(({ goal, machine, durationMs }) => {
      const usual = goal.lastBuild?.build.expectedMs ?? null;
      const words = usual === null ? "" : ` (usually ${formatWords(usual)})`;
      return `${sanitizeText(goal.description.name)} ${formatWords(durationMs)} ${place(machine)}${words}`;
    });
  return longest.length === 0 ? [] : [`longest: ${longest.join(", ")}`];
}

/** What each failure blocked, by the goals that need what failed; the others were not begun because the run ended with it. */
function blockedLines(board: Board): readonly string[] {
  const lines: string[] = [];
  let unbegun = notBuiltAfterFailure(board);
  for (const failed of board.failures) {
    const blocked = blockedBy(failed);
    unbegun = unbegun.filter((goal) => !blocked.has(goal));
    if (blocked.size === 0 || lines.length >= NAMED_BLOCKERS) continue;
    const names = [...blocked].slice(0, NAMED_BLOCKED).map((goal) => sanitizeText(goal.description.name));
    const more = blocked.size - names.length;
    const list = names.join(", ") + (more > 0 ? ` and ${more} more` : "");
    lines.push(
      `${sanitizeText(failed.description.name)} kept ${plural(blocked.size, "build")} from being built: ${list}`,
    );
  }
  if (unbegun.length > 0)
    lines.push(`${plural(unbegun.length, "build")} not begun after the failure; --keep-going builds them, too`);
  return lines;
}

function notBuiltAfterFailure(board: Board): readonly Goal[] {
  return [...board.goals.values()].filter(
    ({ state }) => state.type === "finished" && state.result.type === "notBuilt" && state.result.because !== null,
  );
}

/** Goals that were not built and need this one, directly or through others that were not built. */
function blockedBy(failed: Goal): ReadonlySet<Goal> {
  const blocked = new Set<Goal>();
  const stack = [...failed.dependants];
  for (let goal = stack.pop(); goal !== undefined; goal = stack.pop()) {
    if (blocked.has(goal) || goal.state.type !== "finished" || goal.state.result.type !== "notBuilt") continue;
    blocked.add(goal);
    stack.push(...goal.dependants);
  }
  return blocked;
}

function place(machine: string): string {
  return machine === "local" ? "here" : `on ${sanitizeText(machine)}`;
}
