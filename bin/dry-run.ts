// `--dry-run`: says what would be built, fetched, and where it could go.
import type { CreatedBuildRun } from "../src/engine/index.ts";
import { plannedLines } from "../src/ui/index.ts";
import type { BuildInvocation } from "./invocation.ts";

/** Prints the plan on standard error, as Nix does (with `--json` on standard output). */
export async function printDryRun(run: CreatedBuildRun["run"], invocation: BuildInvocation): Promise<number> {
  const { work, placement } = await run.dryRun();
  if (invocation.json) {
    process.stdout.write(`${JSON.stringify({ ...work, placement }, null, 2)}\n`);
    return 0;
  }
  for (const line of plannedLines(work)) process.stderr.write(`${line}\n`);
  for (const { name, machines, refusal } of placement) {
    process.stderr.write(
      machines.length > 0 ? `  ${name}: could go to ${machines.join(", ")}\n` : `  ${name}: ${refusal}\n`,
    );
  }
  return 0;
}
