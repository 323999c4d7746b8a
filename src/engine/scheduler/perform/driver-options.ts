// What the driver is given by whoever puts a run together: the plan, and a port for each kind of thing it does.
import type { Clock } from "../../base/clock.ts";
import type { Derivation } from "../../derivation/derivation.ts";
import type { Realisations } from "../../derivation/output-paths.ts";
import type { Differences } from "../../differences/perform/runner.ts";
import type { EngineEvent, OutputPath } from "../../events/event.ts";
import type { GoalId, HookId, MachineId } from "../../events/ids.ts";
import type { StorePath } from "../../formats/store-path.ts";
import type { LogKeeper } from "../../memory/log-keeper.ts";
import type { PathInfos } from "../../stores/path-infos.ts";
import type { BuildOptions, DestinationStore } from "../../stores/store.ts";
import type { Command } from "../plan/command.ts";
import type { Decision } from "../plan/decide.ts";
import type { Fact } from "../plan/fact.ts";
import type { Plan } from "../plan/state/plan.ts";
import type { Now } from "../plan/state/turn.ts";
import type { ConnectedMachine } from "./live-machines.ts";
import type { GoalReservations } from "./reserve.ts";

/** Runs post-build hooks; resolves with the reason when one failed. */
export interface HookRunner {
  run(
    hook: HookId,
    drvPath: StorePath,
    outPaths: readonly StorePath[],
    report: { started(attempt: number): void; logged(lines: readonly string[]): void },
    signal: AbortSignal,
  ): Promise<{ readonly failure: string | null; readonly durationMs: number }>;
}

/** What is known of the goals beyond what the plan decides by. */
export interface GoalsPort {
  readonly derivations: ReadonlyMap<StorePath, Derivation>;
  readonly realisations: Realisations;
  /** Every goal's known outputs, for substitution. */
  readonly outputsOf: (goal: GoalId) => readonly OutputPath[];
  /** Outputs that were valid in the destination store before the run: they are never taken back. */
  readonly validBefore: ReadonlySet<StorePath>;
}

/** Where results end up. */
export interface DestinationPort {
  readonly store: DestinationStore;
  readonly infos: PathInfos;
  readonly trusted: boolean | null;
}

/** How machines are reached. */
export interface MachinesPort {
  readonly connect: (machine: MachineId, signal: AbortSignal) => Promise<ConnectedMachine>;
  /** Whether connecting again in this run cannot help. */
  readonly isPermanent: (error: unknown) => boolean;
}

/** How builds are done, and what is kept of them. */
export interface BuildsPort {
  readonly options: BuildOptions;
  readonly logs: LogKeeper;
  readonly hooks: HookRunner;
  /** Keeps runs side by side from building the same; null: nothing does. */
  readonly reservations: GoalReservations | null;
  readonly differences: Differences;
  /** Whether rounds that differ fail and are taken back. */
  readonly enforceDeterminism: boolean;
}

/** Who is told what happens. */
export interface HeardPort {
  readonly event: (event: EngineEvent) => void;
  /** Sees every fact before it is decided on. */
  readonly fact: (fact: Fact) => void;
  /** Sees every decision before it is performed. */
  readonly decision: (fact: Fact, now: Now, decision: Decision) => void;
  /** Sees every command before it is performed. */
  readonly command: (command: Command) => void;
}

export interface DriverOptions {
  readonly plan: Plan;
  readonly clock: Clock;
  readonly goals: GoalsPort;
  readonly destination: DestinationPort;
  readonly machines: MachinesPort;
  readonly builds: BuildsPort;
  readonly heard: HeardPort;
}
