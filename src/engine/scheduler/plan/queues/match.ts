// Which machines can take a derivation, and for each refusal the reason (Nix manual, Remote Builds; build-remote.cc).
import type { GoalSpec, MachineSpec } from "../fact.ts";
import type { PlanOptions } from "../options.ts";

/** Why a machine does not take a derivation: reasons that no waiting changes. */
export type Refusal =
  | { readonly type: "system"; readonly wanted: string; readonly has: readonly string[] }
  | { readonly type: "featureMissing"; readonly features: readonly string[]; readonly has: readonly string[] }
  /** The machine builds only what requires these features. */
  | { readonly type: "mandatoryNotRequired"; readonly features: readonly string[] }
  /** Its `max-jobs` is 0. */
  | { readonly type: "noSlots" }
  /** Its unsigned outputs would not be taken by the store they are for. */
  | { readonly type: "destinationCannotImport" }
  /** The account there may not be given this input. */
  | { readonly type: "inputNotAllowed"; readonly input: string }
  /** All rounds must run, or must not run, where the first one did. */
  | { readonly type: "rounds"; readonly rule: "same" | "other" }
  /** It was tried there, and cannot be built there. */
  | { readonly type: "excluded"; readonly reason: string }
  | { readonly type: "off"; readonly reason: string };

type MatchOptions = Pick<PlanOptions, "destinationTrusted" | "machineSigns">;

/**
 * The first reason why a machine can never take a derivation, null when it can: it needs the system (`builtin` runs everywhere), every required
 * feature as supported or mandatory one, and each of its own mandatory features must be required.
 */
export function refusalOf(goal: GoalSpec, machine: MachineSpec, options: MatchOptions): Refusal | null {
  if (goal.system !== "builtin" && !machine.systems.includes(goal.system)) {
    return { type: "system", wanted: goal.system, has: machine.systems };
  }
  const has = [...new Set([...machine.supportedFeatures, ...machine.mandatoryFeatures])];
  const missing = goal.requiredFeatures.filter((feature) => !has.includes(feature));
  if (missing.length > 0) return { type: "featureMissing", features: missing, has };
  const unasked = machine.mandatoryFeatures.filter((feature) => !goal.requiredFeatures.includes(feature));
  if (unasked.length > 0) return { type: "mandatoryNotRequired", features: unasked };
  if (
    !machine.isLocal &&
    !options.destinationTrusted &&
    !isContentAddressed(goal.addressing) &&
    !options.machineSigns(machine)
  ) {
    return { type: "destinationCannotImport" };
  }
  return null;
}

/** Whether outputs can be imported anywhere without trust: their contents prove their paths. */
export function isContentAddressed(addressing: GoalSpec["addressing"]): boolean {
  return addressing !== "input";
}

/** A refusal in words, to stand behind the machine's name. */
export function refusalText(refusal: Refusal): string {
  switch (refusal.type) {
    case "system":
      return `builds for ${list(refusal.has)}`;
    case "featureMissing":
      return `lacks ${list(refusal.features)}, has ${list(refusal.has)}`;
    case "mandatoryNotRequired":
      return `builds only what requires ${list(refusal.features)}`;
    case "noSlots":
      return "has no slots (max-jobs is 0)";
    case "destinationCannotImport":
      return "the store the results are for does not trust you, and would not take its unsigned outputs";
    case "inputNotAllowed":
      return `does not trust you, and the input '${refusal.input}' is neither signed nor content-addressed`;
    case "rounds":
      return refusal.rule === "other"
        ? "ran the first round, and the next must run on another machine"
        : "did not run the first round, and the next must run where that did";
    case "excluded":
      return `cannot build it: ${refusal.reason}`;
    case "off":
      return `is off: ${refusal.reason}`;
  }
}

/** Says what is missing where, when no machine can take a derivation. */
export function unmatchableMessage(
  goal: GoalSpec,
  refusals: readonly { readonly machine: string; readonly refusal: Refusal }[],
): string {
  const head = `cannot build '${goal.goal}'`;
  if (refusals.length === 0) return `${head}: there is no machine to build on`;
  if (refusals.every(({ refusal }) => refusal.type === "system")) {
    return `${head}: no machine builds for '${goal.system}': ${each(refusals, ({ refusal }) =>
      refusal.type === "system" ? list(refusal.has) : "",
    )}`;
  }
  const rightSystem = refusals.filter(({ refusal }) => refusal.type !== "system");
  const lacking = rightSystem.flatMap(({ refusal }) => (refusal.type === "featureMissing" ? [refusal.features] : []));
  const common = goal.requiredFeatures.filter((feature) => lacking.every((features) => features.includes(feature)));
  if (lacking.length === rightSystem.length && common.length > 0) {
    const what = common.map((feature) => `'${feature}'`).join(", ");
    return `${head}: no machine${rightSystem.length < refusals.length ? ` for ${goal.system}` : ""} has feature ${what}: ${each(
      rightSystem,
      ({ refusal }) => (refusal.type === "featureMissing" ? list(refusal.has) : ""),
    )}`;
  }
  return `${head}: ${refusals.map(({ machine, refusal }) => `${machine} ${refusalText(refusal)}`).join("; ")}`;
}

type Named = { readonly machine: string; readonly refusal: Refusal };

function each(refusals: readonly Named[], text: (named: Named) => string): string {
  return refusals.map((named) => `${named.machine} (${text(named)})`).join(", ");
}

function list(words: readonly string[]): string {
  return words.length === 0 ? "none" : words.join(", ");
}
