// From targets to goals: reads the derivations, asks the store what is there, and finds out what a run would have to do.

import { EngineError } from "../base/errors.ts";
import type { Derivation } from "../derivation/derivation.ts";
import { parseDerivationOptions } from "../derivation/options.ts";
import { Realisations } from "../derivation/output-paths.ts";
import { type ReadDrv, readDrvClosure } from "../evaluate/drv-closure.ts";
import type { StorePath } from "../formats/store-path.ts";
import type { GoalSpec } from "../scheduler/plan/fact.ts";
import { goalSpecs, goalsToBuild, neededGoals, ownSources, type Target } from "../scheduler/plan/goals/goal-specs.ts";
import type { DerivedPath, DestinationStore, Missing } from "../stores/store.ts";

export interface PlanningInput {
  readonly store: DestinationStore;
  readonly readDrv: ReadDrv;
  readonly targets: readonly DerivedPath[];
  /** `substitute`. */
  readonly substitute: boolean;
  /** `always-allow-substitutes`. */
  readonly alwaysSubstitute: boolean;
  /** `repeat` + 1. */
  readonly rounds: number;
  /** `--check`: targets are rebuilt and compared; `build` first builds those whose outputs are not valid yet. */
  readonly check: "no" | "valid" | "build";
  readonly signal: AbortSignal;
}

/** What a run is about. */
export interface RunPlan {
  readonly targets: readonly Target[];
  readonly derivations: ReadonlyMap<StorePath, Derivation>;
  readonly realisations: Realisations;
  readonly goals: readonly GoalSpec[];
  readonly missing: Missing;
  /** Outputs that are valid in the destination store before anything is built. */
  readonly validBefore: ReadonlySet<StorePath>;
}

const NOTHING_MISSING: Missing = {
  willBuild: new Set(),
  willSubstitute: new Set(),
  unknown: new Set(),
  downloadSize: 0n,
  narSize: 0n,
};

/**
 * Plans a run.
 * @throws EngineError `DRV_NO_SUCH_OUTPUT` and `CHECK_NOT_VALID` in Nix's words when outputs to be checked are not valid; what reading derivations throws
 */
export async function planRun(input: PlanningInput): Promise<RunPlan> {
  const { store, signal } = input;
  const targets: Target[] = input.targets.map((target) =>
    target.type === "opaque"
      ? { type: "path", path: target.path }
      : { type: "derivation", drvPath: target.drvPath, outputs: target.outputs },
  );
  const drvPaths = targets.flatMap((target) => (target.type === "derivation" ? [target.drvPath] : []));
  // With its derivation everything it is made from is kept: the inputs' derivations and the sources, to the end of the run.
  await store.addTempRoots(drvPaths);
  const derivations = await readDrvClosure(drvPaths, input.readDrv, undefined, signal);
  for (const target of targets) if (target.type === "derivation") refuseUnknownOutputs(target, derivations);
  const realisations = new Realisations(derivations);
  await realisations.load(store);

  const asked = new Set<StorePath>();
  for (const drvPath of derivations.keys()) for (const path of realisations.outputs(drvPath)) asked.add(path);
  for (const target of targets) if (target.type === "path") asked.add(target.path);
  const valid = await store.lockValidPaths([...asked], signal);
  const allValid = valid.size === asked.size && everyOutputKnown(derivations, realisations);
  const missing = allValid || !input.substitute ? NOTHING_MISSING : await store.queryMissing(input.targets, signal);

  const goals = goalSpecs({
    targets,
    derivations,
    optionsOf: (_path, derivation) => parseDerivationOptions(derivation),
    valid,
    substitutable: missing.willSubstitute,
    realised: new Map([...derivations.keys()].map((drvPath) => [drvPath, realisations.outputsOf(drvPath)])),
    rounds: input.rounds,
    alwaysSubstitute: input.alwaysSubstitute,
    check: input.check !== "no",
  });
  if (input.check === "valid") refuseUnbuilt(goals);
  refuseDynamic(goals, derivations);
  const sized = await withInputBytes(store, goals, derivations, signal);
  return { targets, derivations, realisations, goals: sized, missing, validBefore: valid };
}

/** No more sources than this are asked for: the first build must not wait for it. */
const MOST_SOURCES = 4096;

async function withInputBytes(
  store: DestinationStore,
  goals: readonly GoalSpec[],
  derivations: ReadonlyMap<StorePath, Derivation>,
  signal: AbortSignal,
): Promise<readonly GoalSpec[]> {
  const sources = ownSources(goalsToBuild(goals), derivations);
  if (sources.size === 0 || sources.size > MOST_SOURCES) return goals;
  const bytes = new Map<string, number>();
  for (const [path, { narSize }] of await store.queryPathInfos(sources.keys(), signal)) {
    const goal = sources.get(path);
    if (goal !== undefined) bytes.set(goal, (bytes.get(goal) ?? 0) + Number(narSize));
  }
  return goals.map((goal) => {
    const inputBytes = bytes.get(goal.goal);
    return inputBytes === undefined ? goal : { ...goal, inputBytes };
  });
}

function everyOutputKnown(derivations: ReadonlyMap<StorePath, Derivation>, realisations: Realisations): boolean {
  for (const [drvPath, derivation] of derivations) {
    if (realisations.outputsOf(drvPath).size < derivation.outputs.size) return false;
  }
  return true;
}

/** Derivations that only a build brings to light (experimental in Nix, `dynamic-derivations`) cannot be planned for. */
function refuseDynamic(goals: readonly GoalSpec[], derivations: ReadonlyMap<StorePath, Derivation>): void {
  for (const { goal, validity } of neededGoals(goals)) {
    if (validity !== "missing") continue;
    const inputs = derivations.get(goal as string as StorePath)?.inputDrvs ?? [];
    const found = [...inputs].find(([, input]) => input.dynamic.size > 0);
    if (found === undefined) continue;
    throw new EngineError(
      "build",
      "DRV_DYNAMIC",
      `cannot build '${goal}': it needs what a derivation made by '${found[0]}' builds, and derivations that are made by builds are not supported`,
      {
        hint: "build it once with: nix build --extra-experimental-features dynamic-derivations; what is valid is not built again",
      },
    );
  }
}

/** Nix's own error, before anything is built. */
function refuseUnknownOutputs(
  { drvPath, outputs }: Extract<Target, { type: "derivation" }>,
  derivations: ReadonlyMap<StorePath, Derivation>,
): void {
  const known = derivations.get(drvPath)?.outputs;
  if (outputs === "all" || known === undefined) return;
  const unknown = outputs.filter((name) => !known.has(name));
  if (unknown.length === 0) return;
  throw new EngineError(
    "usage",
    "DRV_NO_SUCH_OUTPUT",
    `derivation '${drvPath}' does not have wanted outputs ${unknown.map((name) => `'${name}'`).join(", ")}`,
    { hint: `it has: ${[...known.keys()].join(", ")}` },
  );
}

/** Nix's own error (manual, Spot-Checking Build Determinism), and what to do. */
function refuseUnbuilt(goals: readonly GoalSpec[]): void {
  // What can be substituted is, as Nix does, and checked then.
  const unbuilt = goals.find(
    (goal) => goal.isTarget && !goal.check && goal.kind === "derivation" && goal.validity === "missing",
  );
  if (unbuilt === undefined) return;
  throw new EngineError(
    "build",
    "CHECK_NOT_VALID",
    `some outputs of '${unbuilt.goal}' are not valid, so checking is not possible`,
    { hint: "build it first without --check, or do both with: --check --build-missing" },
  );
}
