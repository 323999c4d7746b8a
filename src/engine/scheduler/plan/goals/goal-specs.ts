// Turns derivations and what the store says of them into goals for the plan, inputs before those that need them.
import type { Derivation } from "../../../derivation/derivation.ts";
import type { DerivationOptions } from "../../../derivation/options.ts";
import type { OutputPath } from "../../../events/event.ts";
import type { GoalId } from "../../../events/ids.ts";
import { derivationNameOf, nameOf, type StorePath } from "../../../formats/store-path.ts";
import type { GoalSpec } from "../fact.ts";

/** What a run wants. */
export type Target =
  | { readonly type: "derivation"; readonly drvPath: StorePath; readonly outputs: "all" | readonly string[] }
  | { readonly type: "path"; readonly path: StorePath };

export interface GoalSpecInput {
  readonly targets: readonly Target[];
  /** The whole closure of the targets' derivations. */
  readonly derivations: ReadonlyMap<StorePath, Derivation>;
  readonly optionsOf: (drvPath: StorePath, derivation: Derivation) => DerivationOptions;
  /** Paths that are valid in the destination store. */
  readonly valid: ReadonlySet<StorePath>;
  readonly substitutable: ReadonlySet<StorePath>;
  /** Paths of outputs that depend on contents, as far as they are known: drv path → output → path. */
  readonly realised: ReadonlyMap<StorePath, ReadonlyMap<string, StorePath>>;
  /** `repeat` + 1. */
  readonly rounds: number;
  /** Also what its author says is not to be substituted (`always-allow-substitutes`). */
  readonly alwaysSubstitute: boolean;
  /** Targets are rebuilt and compared. */
  readonly check: boolean;
}

/** Goals of a run in the order Nix would visit them: depth first, inputs first. */
export function goalSpecs(input: GoalSpecInput): GoalSpec[] {
  const wanted = wantedOutputs(input);
  const targets = new Set<StorePath>(
    input.targets.map((target) => (target.type === "path" ? target.path : target.drvPath)),
  );
  const specs: GoalSpec[] = [];
  for (const drvPath of inputsFirst(input)) {
    const derivation = input.derivations.get(drvPath)!;
    specs.push(derivationGoal(input, drvPath, derivation, wanted.get(drvPath) ?? new Set(), targets.has(drvPath)));
  }
  for (const target of input.targets) if (target.type === "path") specs.push(pathGoal(input, target.path));
  return specs;
}

/** Those goals that have to be done: targets, and the inputs of what has to be built, in their order. */
export function neededGoals(goals: readonly GoalSpec[]): GoalSpec[] {
  const needed = new Set<GoalId>(goals.filter((goal) => goal.isTarget).map((goal) => goal.goal));
  // Inputs come before those that need them, so one pass from the end finds all.
  for (const goal of goals.toReversed()) {
    if (!needed.has(goal.goal) || (goal.validity !== "missing" && !goal.check)) continue;
    for (const input of goal.inputs) needed.add(input);
  }
  return goals.filter((goal) => needed.has(goal.goal) && (goal.validity !== "valid" || goal.check));
}

/** Those of them that are made by building. */
export function goalsToBuild(goals: readonly GoalSpec[]): GoalId[] {
  const made = (goal: GoalSpec): boolean => goal.kind === "derivation" && (goal.validity === "missing" || goal.check);
  return neededGoals(goals)
    .filter(made)
    .map((goal) => goal.goal);
}

/**
 * The input sources of goals that will be built which no other of them has: source → goal. What several have, such as a shell, is on a machine soon and
 * says nothing of any of them.
 */
export function ownSources(
  goals: readonly GoalId[],
  derivations: ReadonlyMap<StorePath, Derivation>,
): Map<StorePath, GoalId> {
  const own = new Map<StorePath, GoalId>();
  const shared = new Set<StorePath>();
  for (const goal of goals) {
    for (const source of derivations.get(goal as string as StorePath)?.inputSrcs ?? []) {
      if (shared.has(source)) continue;
      if (own.delete(source)) shared.add(source);
      else own.set(source, goal);
    }
  }
  return own;
}

function derivationGoal(
  input: GoalSpecInput,
  drvPath: StorePath,
  derivation: Derivation,
  wanted: ReadonlySet<string>,
  isTarget: boolean,
): GoalSpec {
  const options = input.optionsOf(drvPath, derivation);
  const outputPaths: OutputPath[] = [];
  for (const name of wanted) {
    const path = outputPath(input, drvPath, derivation, name);
    if (path !== null) outputPaths.push({ name, path });
  }
  const known = outputPaths.length === wanted.size;
  const isValid = known && outputPaths.every((output) => input.valid.has(output.path as StorePath));
  const isSubstitutable =
    known &&
    outputPaths.every(
      (output) => input.valid.has(output.path as StorePath) || input.substitutable.has(output.path as StorePath),
    );
  const addressing = addressingOf(derivation);
  return {
    goal: drvPath as string as GoalId,
    kind: "derivation",
    name: derivationNameOf(drvPath),
    system: derivation.platform,
    requiredFeatures: options.requiredSystemFeatures,
    preferLocalBuild: options.preferLocalBuild,
    outputs: [...wanted],
    inputs: [...derivation.inputDrvs.keys()] as string[] as GoalId[],
    isTarget,
    validity: isValid
      ? "valid"
      : isSubstitutable && (options.allowSubstitutes || input.alwaysSubstitute)
        ? "substitutable"
        : "missing",
    outputPaths,
    addressing,
    check: input.check && isTarget && isValid,
    checkNext: input.check && isTarget && !isValid,
    rounds: addressing === "fixed" ? 1 : input.rounds,
    inputBytes: 0,
  };
}

function pathGoal(input: GoalSpecInput, path: StorePath): GoalSpec {
  return {
    goal: path as string as GoalId,
    kind: "path",
    name: nameOf(path),
    system: "builtin",
    requiredFeatures: [],
    preferLocalBuild: false,
    outputs: ["out"],
    inputs: [],
    isTarget: true,
    validity: input.valid.has(path) ? "valid" : "substitutable",
    outputPaths: [{ name: "out", path }],
    addressing: "input",
    check: false,
    rounds: 1,
    inputBytes: 0,
  };
}

/** How the outputs get their paths; a derivation that mixes kinds counts as the weakest. */
export function addressingOf(derivation: Derivation): GoalSpec["addressing"] {
  const types = new Set([...derivation.outputs.values()].map((output) => output.type));
  if (types.has("impure")) return "impure";
  if (types.has("floating")) return "floating";
  if (types.size === 1 && types.has("fixed")) return "fixed";
  return "input";
}

/** The path of an output as far as it is known before the build. */
function outputPath(input: GoalSpecInput, drvPath: StorePath, derivation: Derivation, name: string): StorePath | null {
  const output = derivation.outputs.get(name);
  if (output !== undefined && "path" in output) return output.path;
  return input.realised.get(drvPath)?.get(name) ?? null;
}

function wantedOutputs(input: GoalSpecInput): Map<StorePath, Set<string>> {
  const wanted = new Map<StorePath, Set<string>>();
  const want = (drvPath: StorePath, names: Iterable<string>): void => {
    let set = wanted.get(drvPath);
    if (set === undefined) {
      set = new Set();
      wanted.set(drvPath, set);
    }
    for (const name of names) set.add(name);
  };
  for (const target of input.targets) {
    if (target.type === "path") continue;
    const all = input.derivations.get(target.drvPath)?.outputs.keys() ?? [];
    want(target.drvPath, target.outputs === "all" ? all : target.outputs);
  }
  for (const derivation of input.derivations.values()) {
    for (const [drvPath, used] of derivation.inputDrvs) want(drvPath, used.outputs);
  }
  return wanted;
}

/** Depth-first order of the closure, inputs first; without recursion, so that long chains are fine. */
function inputsFirst(input: GoalSpecInput): StorePath[] {
  const order: StorePath[] = [];
  const seen = new Set<StorePath>();
  for (const target of input.targets) {
    if (target.type === "path" || seen.has(target.drvPath)) continue;
    seen.add(target.drvPath);
    const stack = [frame(input, target.drvPath)];
    while (stack.length > 0) {
      const top = stack[stack.length - 1]!;
      const next = top.inputs[top.next++];
      if (next === undefined) {
        order.push(top.drvPath);
        stack.pop();
      } else if (!seen.has(next) && input.derivations.has(next)) {
        seen.add(next);
        stack.push(frame(input, next));
      }
    }
  }
  return order;
}

function frame(input: GoalSpecInput, drvPath: StorePath): { drvPath: StorePath; inputs: StorePath[]; next: number } {
  return { drvPath, inputs: [...(input.derivations.get(drvPath)?.inputDrvs.keys() ?? [])], next: 0 };
}
