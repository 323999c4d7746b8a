// `build`: makes what the installables name, or says what that would take.
import { createBuildRun, type Surroundings } from "../src/engine/index.ts";
import { printDryRun } from "./dry-run.ts";
import type { BuildInvocation } from "./invocation.ts";
import { showRun } from "./show-run.ts";

/** Runs the command; resolves with the exit status. @throws EngineError before anything is shown */
export async function build(invocation: BuildInvocation, surroundings: Surroundings): Promise<number> {
  const { settingsOverrides, installables, evaluation, check, outLink, dryRun } = invocation;
  const request = { settingsOverrides, installables, evaluation, check, outLink, dryRun };
  if (dryRun) return printDryRun((await createBuildRun(request, surroundings)).run, invocation);
  const { exitStatus } = await showRun(request, invocation, surroundings, {
    printOutPaths: true,
    onEvents: () => undefined,
  });
  return exitStatus;
}
