// Before a goal is built: other runs of this user may be building it, and what they have built need not be built again.
import type { Clock } from "../../base/clock.ts";
import type { EngineEvent, OutputPath } from "../../events/event.ts";
import type { GoalId } from "../../events/ids.ts";
import type { PathInfo } from "../../formats/path-info.ts";
import { baseNameOf, type StorePath } from "../../formats/store-path.ts";
import type { DestinationStore } from "../../stores/store.ts";
import type { StartBuild } from "../plan/command.ts";
import type { ClaimFact } from "../plan/fact.ts";

/** Who builds what among runs side by side. */
export interface GoalReservations {
  /** Resolves when no other run has the goal. Rejects with the signal's reason. */
  take(
    goal: string,
    waiting: { readonly clock: Clock; readonly signal: AbortSignal; readonly begun: () => void },
  ): Promise<{ readonly hasWaited: boolean; readonly mayBeBuilt: boolean; release(): void }>;
  /** Nothing is taken any more. */
  close(): void;
}

export interface ReservePorts {
  readonly clock: Clock;
  readonly reservations: GoalReservations | null;
  readonly store: DestinationStore;
  readonly outputsOf: (goal: GoalId) => readonly OutputPath[];
  readonly publish: (event: EngineEvent) => void;
}

/** A goal that may be built now, or what was found of it in the destination. */
export interface Reserved {
  /** Lets other runs have it. */
  readonly release: () => void;
  readonly found: {
    readonly infos: readonly PathInfo[];
    readonly fact: Extract<ClaimFact, { type: "claimBuilt" }>;
  } | null;
}

const NOTHING: Reserved = { release: () => undefined, found: null };

/**
 * Waits while another run builds the goal, which its claim says as a phase. Rounds are not shared: what another run built is no second result.
 * @throws the signal's reason, or what the store throws
 */
export async function reserve(command: StartBuild, ports: ReservePorts, signal: AbortSignal): Promise<Reserved> {
  const { reservations, clock, publish, store, outputsOf } = ports;
  const { claim, goal, round, compare } = command;
  if (reservations === null || round > 1 || compare.type !== "none") return NOTHING;
  const phase = (name: string): void => publish({ type: "buildPhaseChanged", claim, phase: name });
  const begun = (): void => phase("another run builds it");
  const { hasWaited, mayBeBuilt, release } = await reservations.take(baseNameOf(goal as string as StorePath), {
    clock,
    signal,
    begun,
  });
  if (!mayBeBuilt) return { release, found: null };
  try {
    const outputs = outputsOf(goal);
    const paths = outputs.map(({ path }) => path as StorePath);
    const valid = await store.lockValidPaths(paths, signal);
    if (outputs.length === 0 || paths.some((path) => !valid.has(path))) {
      if (hasWaited) phase("building");
      return { release, found: null };
    }
    const known = await store.queryPathInfos(paths, signal);
    const infos = paths.flatMap((path) => known.get(path) ?? []);
    const built = outputs.flatMap(({ name, path }) => {
      const info = known.get(path as StorePath);
      if (info === undefined) return [];
      return [{ name, path, narHash: Buffer.from(info.narHash).toString("hex"), narSize: info.narSize }];
    });
    return {
      release,
      found: {
        infos,
        fact: { type: "claimBuilt", claim, durationMs: 0, executed: false, outputs: built, differs: [], messages: [] },
      },
    };
  } catch (error) {
    release();
    throw error;
  }
}
