// The end of a run: which outputs of the targets are valid now, and links to them.
import { join } from "node:path";
import type { EngineEvent } from "./events/event.ts";
import type { StorePath } from "./formats/store-path.ts";
import { noticeOf } from "./notices.ts";
import type { RunPlan } from "./planning.ts";
import type { OpenedDestination } from "./stores/open-destination.ts";
import { type LinkedOutput, makeOutLinks } from "./stores/out-links.ts";
import type { DerivedPath } from "./stores/store.ts";

export interface LinkResultsOptions {
  readonly targets: readonly DerivedPath[];
  readonly plan: RunPlan;
  readonly destination: OpenedDestination;
  /** Base name of the links; null makes none. */
  readonly outLink: string | null;
  /** Targets that failed, whose outputs may be valid all the same. */
  readonly isFailed: (drvPath: string) => boolean;
  readonly publish: (event: EngineEvent) => void;
}

/** Valid outputs of the targets, in the order asked for; `isDone` is false when links could not be made, which is said. */
export async function linkResults(
  options: LinkResultsOptions,
): Promise<{ readonly outputs: readonly StorePath[]; readonly isDone: boolean }> {
  const { targets, plan, destination, outLink, isFailed, publish } = options;
  const linked: LinkedOutput[] = [];
  for (const [targetIndex, target] of targets.entries()) {
    if (target.type === "opaque") {
      linked.push({ targetIndex, output: "out", path: target.path });
      continue;
    }
    if (isFailed(target.drvPath)) continue;
    const known = plan.realisations.outputsOf(target.drvPath);
    const names = target.outputs === "all" ? [...known.keys()] : target.outputs;
    for (const output of names) {
      const path = known.get(output);
      if (path !== undefined) linked.push({ targetIndex, output, path });
    }
  }
  const valid = await destination.store.lockValidPaths(linked.map(({ path }) => path));
  const present = linked.filter(({ path }) => valid.has(path));
  const outputs = present.map(({ path }) => path);
  if (outLink === null || present.length === 0) return { outputs, isDone: true };
  const physical = (path: StorePath): string => (destination.root === null ? path : join(destination.root, path));
  try {
    await makeOutLinks(destination.store, outLink, present, physical);
  } catch (error) {
    publish(noticeOf(error));
    return { outputs, isDone: false };
  }
  return { outputs, isDone: true };
}
