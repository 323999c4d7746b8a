// `build`: makes what the installables name, or says what that would take.
import { createBuildRun, type Surroundings } from "../../src/engine/index.ts";
import { DeterminismReporter } from "../determinism-report.ts";
import type { BuildInvocation } from "../invocation.ts";
import { printJson } from "../say.ts";
import { type ShownRun, showRun } from "../show-run.ts";
import { printDryRun } from "./dry-run.ts";

/** Runs the command; resolves with the exit status. @throws EngineError before anything is shown */
export async function build(invocation: BuildInvocation, surroundings: Surroundings): Promise<number> {
  const { settingsOverrides, installables, evaluation, check, diffoscope, outLink, profile, dryRun, uploadTo } =
    invocation;
  const request = {
    settingsOverrides,
    installables,
    evaluation,
    check,
    diffoscope,
    outLink,
    profile,
    dryRun,
    uploadTo,
  };
  if (dryRun) {
    const { run } = await createBuildRun({ ...request, holdWhenFailed: false }, surroundings);
    return printDryRun(run, invocation);
  }
  const reporter = new DeterminismReporter(invocation.report);
  const { exitStatus, kind, results } = await showRun(request, invocation, surroundings, {
    printOutPaths: !invocation.json,
    onEvents: (events) => reporter.accept(events),
  });
  // Events are JSON on standard output, too; of a run that failed Nix prints nothing.
  if (invocation.json && kind.kind !== "json" && exitStatus === 0) printJson(results.map(resultJson));
  await reporter.finish(kind, process.stderr);
  return exitStatus;
}

/** As `nix build --json` has it, without times. */
function resultJson(result: ShownRun["results"][number]): unknown {
  if (result.type === "opaque") return result.path;
  return { drvPath: result.drvPath, outputs: Object.fromEntries(result.outputs) };
}
