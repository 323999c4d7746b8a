// From what a compared build answered to the differences in it: which outputs, and where each result lies.
import type { GoalId, MachineId } from "../../events/ids.ts";
import type { PathInfo } from "../../formats/path-info.ts";
import type { StorePath } from "../../formats/store-path.ts";
import type { PathStore } from "../../stores/store.ts";
import { differingOutputs, type OutputHashes } from "../compare/compare.ts";
import type { ResultMachine, ResultPlace } from "../keep/other-result.ts";
import { checkDiffersMessage, parseCheckDifferences, roundDiffersMessage } from "../report/messages.ts";

/** A build that was compared with an earlier result. */
export interface ComparedBuild {
  readonly goal: GoalId;
  readonly drvPath: StorePath;
  /** `check`: with what was valid before (`--check`). `round`: with the first of several rounds. */
  readonly kind: "check" | "round";
  readonly round: number;
  readonly machine: MachineId;
  readonly first: FirstResult;
  /** Nix will compare again on this machine's disk in this run, and write its `.check` anew. */
  readonly slotIsReused: boolean;
}

/** The result others are compared with. */
export interface FirstResult {
  readonly machine: MachineId;
  /** Where its outputs are valid, by output name. */
  readonly store: PathStore;
  readonly outputs: ReadonlyMap<string, PathInfo>;
  /** Whether it is, or will be, valid in the destination store when all is over. Enforced rounds that differ are taken back. */
  readonly staysValid: boolean;
}

/** One output of which a second result differs. */
export interface FoundDifference {
  readonly build: ComparedBuild;
  readonly output: string;
  readonly path: StorePath;
  /** Where the other result may be found, likeliest first; one with the first result's hash is not it. */
  readonly candidates: readonly ResultPlace[];
}

/** NAR hashes of outputs in lower-case hexadecimal. */
export function hashesOf(outputs: ReadonlyMap<string, PathInfo>): OutputHashes {
  return new Map([...outputs].map(([name, info]) => [name, Buffer.from(info.narHash).toString("hex")]));
}

/**
 * What a machine's own comparison tells in its message (status NotDeterministic). When it names no output that is known, all of them count as differing,
 * without a place.
 * @param there the outputs as they are valid on that machine, by name; empty when that is not known
 */
export function foundByCheck(
  build: ComparedBuild,
  message: string,
  machine: ResultMachine,
  isDestination: boolean,
  there: ReadonlyMap<string, PathInfo>,
): FoundDifference[] {
  const names = new Map([...build.first.outputs].map(([name, info]) => [info.path, name]));
  const found: FoundDifference[] = [];
  for (const { output: path, realOther } of parseCheckDifferences(message)) {
    const output = names.get(path);
    if (output === undefined || found.some((other) => other.output === output)) continue;
    const candidates: ResultPlace[] = [];
    // The store of this machine's Nix lies on our disk, unless it is in a mount namespace of its own.
    if (realOther !== null && isDestination) candidates.push({ type: "onDisk", path: realOther });
    if (realOther !== null) candidates.push({ type: "keptThere", machine, real: realOther });
    // What was valid there may be the result that differs from the first, and the new one equal to it.
    const valid = there.get(output);
    if (valid !== undefined && !isDestination) candidates.push(validPlace(machine.store, valid));
    found.push({ build, output, path, candidates });
  }
  if (found.length > 0) return found;
  return [...build.first.outputs].map(([output, info]) => ({ build, output, path: info.path, candidates: [] }));
}

/** What the hashes of outputs that are valid in another store tell. */
export function foundByHash(
  build: ComparedBuild,
  store: PathStore,
  outputs: ReadonlyMap<string, PathInfo>,
): FoundDifference[] {
  return differingOutputs(hashesOf(build.first.outputs), hashesOf(outputs)).map(({ output }) => {
    const info = outputs.get(output)!;
    return { build, output, path: info.path, candidates: [validPlace(store, info)] };
  });
}

/** Both sets of differences, each output once: what the whole build shows counts before what the check named. */
export function joinFound(whole: readonly FoundDifference[], check: readonly FoundDifference[]): FoundDifference[] {
  const known = new Set(whole.map((found) => found.output));
  return [...whole, ...check.filter((found) => !known.has(found.output))];
}

/** Nix's words for a difference, with the place the other result is kept at. */
export function differenceMessage({ build, path }: FoundDifference, otherPath: string | null): string {
  const print = build.kind === "check" ? checkDiffersMessage : roundDiffersMessage;
  return print(build.drvPath, path, otherPath);
}

/** A valid path as a place to read from. */
export function validPlace(store: PathStore, { path, narSize }: PathInfo): ResultPlace {
  return { type: "valid", store, path, narSize };
}
