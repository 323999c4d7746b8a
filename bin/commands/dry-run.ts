// `--dry-run`: says what would be built, fetched, and where it could go.
import type { CreatedBuildRun } from "../../src/engine/index.ts";
import { plannedLines } from "../../src/ui/index.ts";
import type { BuildInvocation } from "../invocation.ts";
import { printJson, say } from "../say.ts";

/** Prints the plan on standard error, as Nix does (with `--json` on standard output). */
export async function printDryRun(run: CreatedBuildRun["run"], invocation: BuildInvocation): Promise<number> {
  const { work, placement } = await run.dryRun();
  if (invocation.json) {
    printJson({ ...work, placement }, 2);
    return 0;
  }
  for (const line of plannedLines(work)) say(line);
  for (const line of placedLines(placement)) say(line);
  return 0;
}

/** Names shown of a group. */
const MOST_NAMES = 6;

type Placement = Awaited<ReturnType<CreatedBuildRun["run"]["dryRun"]>>["placement"];

/** Where the builds could go: those that could go to the same machines on one line, those that can go nowhere each with its reason. */
export function placedLines(placement: Placement): string[] {
  const groups = new Map<string, string[]>();
  for (const { name, machines } of placement) {
    if (machines.length === 0) continue;
    const place = machines.join(", ");
    const names = groups.get(place);
    if (names === undefined) groups.set(place, [name]);
    else names.push(name);
  }
  const refused = placement.filter(({ machines }) => machines.length === 0);
  return [
    ...[...groups].map(([place, names]) => `could go to ${place}: ${shortened(names)}`),
    ...refused.map(({ name, refusal }) => `${name}: ${refusal}`),
  ];
}

function shortened(names: readonly string[]): string {
  if (names.length <= MOST_NAMES) return names.join(", ");
  return `${names.slice(0, MOST_NAMES - 1).join(", ")} and ${names.length - MOST_NAMES + 1} more`;
}
