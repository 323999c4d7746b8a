// The end of a run: which outputs of the targets are valid now, and the links that keep them: result links, and a profile's next generation.
import { join, resolve } from "node:path";
import type { EngineEvent } from "../events/event.ts";
import { noticeOf } from "../events/notices.ts";
import type { StorePath } from "../formats/store-path.ts";
import type { OpenedDestination } from "../stores/open/open-destination.ts";
import { type LinkedOutput, makeOutLinks, type OutLinks } from "../stores/out-links.ts";
import { setProfile } from "../stores/profile.ts";
import type { DerivedPath } from "../stores/store.ts";
import type { RunPlan } from "./plan-run.ts";

/** What became of one target: its outputs that are valid, in the order asked for. */
export type TargetResult =
  | { readonly type: "built"; readonly drvPath: StorePath; readonly outputs: ReadonlyMap<string, StorePath> }
  | { readonly type: "opaque"; readonly path: StorePath };

export interface LinkResultsOptions {
  readonly targets: readonly DerivedPath[];
  readonly plan: RunPlan;
  readonly destination: OpenedDestination;
  /** Null makes none. */
  readonly outLink: OutLinks | null;
  /** The profile that gets a generation of the one result; null: none. */
  readonly profile: string | null;
  /** Targets that failed, whose outputs may be valid all the same. */
  readonly isFailed: (drvPath: string) => boolean;
  readonly publish: (event: EngineEvent) => void;
}

/** Valid outputs of the targets, in the order asked for; `isDone` is false when links could not be made, which is said. */
export async function linkResults(options: LinkResultsOptions): Promise<{
  readonly results: readonly TargetResult[];
  readonly outputs: readonly StorePath[];
  readonly isDone: boolean;
}> {
  const { destination, outLink, profile, publish } = options;
  const wanted = wantedResults(options);
  const valid = await destination.store.lockValidPaths(wanted.flatMap(pathsOf));
  const results = wanted.flatMap((result) => stillValid(result, valid));
  const outputs = results.flatMap(pathsOf);
  const physical = (path: StorePath): string => (destination.root === null ? path : join(destination.root, path));
  try {
    if (outLink !== null) {
      const linked = linkedOutputs(results, outLink.numbering);
      await makeOutLinks(destination.store, outLink.base, linked, physical);
    }
    if (profile !== null) await setProfile(destination.store, resolve(profile), outputs, physical);
  } catch (error) {
    publish(noticeOf(error));
    return { results, outputs, isDone: false };
  }
  return { results, outputs, isDone: true };
}

function wantedResults({ targets, plan, isFailed }: LinkResultsOptions): TargetResult[] {
  return targets.flatMap((target): TargetResult[] => {
    if (target.type === "opaque") return [target];
    if (isFailed(target.drvPath)) return [];
    const known = plan.realisations.outputsOf(target.drvPath);
    const outputs = new Map<string, StorePath>();
    for (const name of target.outputs === "all" ? known.keys() : target.outputs) {
      const path = known.get(name);
      if (path !== undefined) outputs.set(name, path);
    }
    return [{ type: "built", drvPath: target.drvPath, outputs }];
  });
}

function stillValid(result: TargetResult, valid: ReadonlySet<StorePath>): TargetResult[] {
  if (result.type === "opaque") return valid.has(result.path) ? [result] : [];
  const outputs = new Map([...result.outputs].filter(([, path]) => valid.has(path)));
  return outputs.size === 0 ? [] : [{ ...result, outputs }];
}

function pathsOf(result: TargetResult): StorePath[] {
  return result.type === "opaque" ? [result.path] : [...result.outputs.values()];
}

/** nix-build numbers by derivation: two outputs of one, asked for apart, have the same number. `nix build` numbers what was asked for. */
export function linkedOutputs(
  results: readonly TargetResult[],
  numbering: OutLinks["numbering"],
): readonly LinkedOutput[] {
  const counted = new Map<StorePath, number>();
  return results.flatMap((result, index) => {
    const key = result.type === "opaque" ? result.path : result.drvPath;
    const place = counted.get(key) ?? counted.size;
    counted.set(key, place);
    const number = numbering === "nix build" ? index : place === 0 ? 0 : place + 1;
    if (result.type === "opaque") return [{ number, output: "out", path: result.path }];
    return [...result.outputs].map(([output, path]) => ({ number, output, path }));
  });
}
