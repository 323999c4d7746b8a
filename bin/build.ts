// `build`: makes what the installables name, or says what that would take.
import { createBuildRun, type Surroundings } from "../src/engine/index.ts";
import { DeterminismReporter } from "./determinism-report.ts";
import { printDryRun } from "./dry-run.ts";
import type { BuildInvocation } from "./invocation.ts";
import { showRun } from "./show-run.ts";

/** Runs the command; resolves with the exit status. @throws EngineError before anything is shown */
export async function build(invocation: BuildInvocation, surroundings: Surroundings): Promise<number> {
  const { settingsOverrides, installables, evaluation, check, diffoscope, outLink, dryRun, uploadTo } = invocation;
  const request = { settingsOverrides, installables, evaluation, check, diffoscope, outLink, dryRun, uploadTo };
  if (dryRun) {
    const { run } = await createBuildRun({ ...request, holdWhenFailed: false }, surroundings);
    return printDryRun(run, invocation);
  }
  const reporter = new DeterminismReporter(invocation.report);
  const { exitStatus, kind } = await showRun(request, invocation, surroundings, {
    printOutPaths: true,
    onEvents: (events) => reporter.accept(events),
  });
  await reporter.finish(kind, process.stderr);
  return exitStatus;
}
