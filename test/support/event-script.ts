// Builds runs as sequences of published events, with times of their own: what tests, golden frames, benchmarks and pictures are fed.
import type {
  BuildEnd,
  BuildFailure,
  BuildStage,
  EngineEvent,
  GoalDescription,
  GoalResult,
  MachineDescription,
  MachineState,
  PublishedEvent,
  RunOutcome,
  WaitingReason,
} from "../../src/engine/events/event.ts";
import { EVENTS_VERSION } from "../../src/engine/events/event.ts";
import type { ClaimId, CopyId, GoalId, HookId, MachineId } from "../../src/engine/events/ids.ts";
import type { Board } from "../../src/ui/model/board/board.ts";
import { reduce } from "../../src/ui/model/board/reduce.ts";

/** As `reduce`, for many events. */
export function reduceAll(board: Board, events: Iterable<PublishedEvent>): Board {
  for (const event of events) reduce(board, event);
  return board;
}

/** 2026-03-01 12:00:00 UTC: where every script starts. */
export const SCRIPT_START = Date.UTC(2026, 2, 1, 12, 0, 0);

/** The id a script gives a derivation of this name. */
export function drv(name: string): GoalId {
  return `/nix/store/${hashOf(name)}-${name}.drv` as GoalId;
}

/** The id a script gives a plain path of this name. */
export function storePath(name: string): GoalId {
  return `/nix/store/${hashOf(name)}-${name}` as GoalId;
}

export function machineId(name: string): MachineId {
  return name as MachineId;
}

const hashes = new Map<string, string>();

/** 32 characters that look like a store hash and depend on the name only. */
function hashOf(name: string): string {
  const known = hashes.get(name);
  if (known !== undefined) return known;
  const alphabet = "0123456789abcdfghijklmnpqrsvwxyz";
  let state = 2166136261;
  let text = "";
  for (let index = 0; index < 32; index++) {
    for (const character of `${name}${index}`) state = Math.imul(state ^ character.charCodeAt(0), 16777619) >>> 0;
    text += alphabet.charAt(state % 32);
  }
  hashes.set(name, text);
  return text;
}

export interface GoalOptions {
  readonly inputs?: readonly string[];
  readonly features?: readonly string[];
  readonly isTarget?: boolean;
  readonly expectedMs?: number | null;
  readonly kind?: "derivation" | "path";
}

export interface BuildOptions {
  readonly slot?: number;
  readonly attempt?: number;
  readonly round?: number;
  readonly rounds?: number;
  readonly isCheck?: boolean;
  readonly expectedMs?: number | null;
  readonly explanation?: string;
}

/** A run being written: every method adds events at the script's own time. */
export class EventScript {
  readonly events: PublishedEvent[] = [];
  now: number = SCRIPT_START;
  private taken = 0;
  private seq = 0;
  private claims = 0;
  private ids = 0;

  /** Adds any event. */
  add(event: EngineEvent): this {
    this.events.push({ seq: this.seq++, at: this.now, event });
    return this;
  }

  /** Lets time pass. */
  wait(ms: number): this {
    this.now += ms;
    return this;
  }

  /** Events added since the last call. */
  take(): readonly PublishedEvent[] {
    const fresh = this.events.slice(this.taken);
    this.taken = this.events.length;
    return fresh;
  }

  /** As {@link take}, and forgets them: for runs without an end. */
  drain(): readonly PublishedEvent[] {
    const fresh = this.take();
    this.events.length = 0;
    this.taken = 0;
    return fresh;
  }

  start(options: { readonly keepGoing?: boolean; readonly rounds?: number } = {}): this {
    return this.add({
      type: "runStarted",
      eventsVersion: EVENTS_VERSION,
      runId: "run-1",
      program: "tsbuild-top 0.1.0",
      store: "daemon",
      policy: "own",
      keepGoing: options.keepGoing ?? true,
      rounds: options.rounds ?? 1,
    });
  }

  stage(stage: "evaluating" | "opening" | "planning" | "building" | "finishing", detail = ""): this {
    return this.add({ type: "runStageChanged", stage, detail });
  }

  /** Starts, and comes to the stage in which machines and goals are told of. */
  begin(options: Parameters<EventScript["start"]>[0] = {}): this {
    return this.start(options).stage("opening").stage("evaluating").stage("planning").stage("building");
  }

  machine(name: string, options: Partial<Omit<MachineDescription, "machine">> = {}): this {
    return this.add({
      type: "machineAdded",
      machine: {
        machine: machineId(name),
        uri: name === "local" ? "local" : `ssh-ng://${name}`,
        systems: ["x86_64-linux"],
        slots: 4,
        speedFactor: 1,
        supportedFeatures: [],
        mandatoryFeatures: [],
        buildCores: null,
        cores: null,
        ...options,
      },
    });
  }

  state(name: string, state: MachineState): this {
    return this.add({ type: "machineStateChanged", machine: machineId(name), state });
  }

  up(...names: readonly string[]): this {
    for (const name of names) this.state(name, { type: "up" });
    return this;
  }

  goals(goals: Readonly<Record<string, GoalOptions>>): this {
    return this.add({ type: "goalsAdded", goals: Object.entries(goals).map(([name, options]) => goal(name, options)) });
  }

  waiting(name: string, reason: WaitingReason): this {
    return this.add({ type: "goalWaiting", goal: drv(name), reason });
  }

  /** Starts a build and brings it to the stage named. */
  build(name: string, machine: string, options: BuildOptions = {}, stage: BuildStage = "building"): ClaimId {
    const claim = `claim-${++this.claims}` as ClaimId;
    this.add({
      type: "buildAssigned",
      claim,
      goal: drv(name),
      machine: machineId(machine),
      slot: options.slot ?? 0,
      attempt: options.attempt ?? 1,
      round: options.round ?? 1,
      rounds: options.rounds ?? 1,
      isCheck: options.isCheck ?? false,
      expectedMs: options.expectedMs ?? null,
      explanation: options.explanation ?? `${machine} has a free slot`,
    });
    if (stage !== "preparing") this.add({ type: "buildStageChanged", claim, stage });
    return claim;
  }

  phase(claim: ClaimId, phase: string): this {
    return this.add({ type: "buildPhaseChanged", claim, phase });
  }

  log(claim: ClaimId, ...lines: readonly string[]): this {
    return this.add({ type: "buildLogged", claim, lines });
  }

  /** Says where the whole log is. */
  logFile(claim: ClaimId, file: string): this {
    return this.add({ type: "buildLogKept", claim, file });
  }

  /** Ends a build without ending its goal. */
  end(claim: ClaimId, result: BuildEnd = { type: "built" }, durationMs = 1000): this {
    return this.add({ type: "buildEnded", claim, durationMs, result });
  }

  /** Ends a build and its goal well. */
  built(claim: ClaimId, name: string, machine: string, durationMs = 1000): this {
    return this.end(claim, { type: "built" }, durationMs).finish(name, {
      type: "built",
      outputs: [{ name: "out", path: storePath(name) }],
      machine: machineId(machine),
      durationMs,
      rounds: 1,
      nonDeterministic: false,
    });
  }

  /** Ends a build and its goal badly. */
  failed(claim: ClaimId, name: string, machine: string, failure: Partial<BuildFailure> = {}): this {
    const whole: BuildFailure = {
      kind: "final",
      status: "PermanentFailure",
      exitClass: "build",
      message: `builder for '${drv(name)}' failed with exit code 1`,
      logTail: [],
      machine: machineId(machine),
      logFile: `/nix/var/log/nix/drvs/${drv(name).slice(11, 13)}/${drv(name).slice(13)}.bz2`,
      keptDirectory: null,
      attempts: [],
      ...failure,
    };
    this.end(claim, { type: "failed", kind: whole.kind, message: whole.message });
    return this.finish(name, { type: "failed", failure: whole });
  }

  finish(name: string, result: GoalResult): this {
    return this.add({ type: "goalFinished", goal: drv(name), result });
  }

  upload(machine: string, claim: ClaimId | null, expected: number, done: number, paths = 12): CopyId {
    return this.copy("upload", machine, claim, expected, done, paths);
  }

  download(machine: string, claim: ClaimId | null, expected: number, done: number, paths = 1): CopyId {
    return this.copy("download", machine, claim, expected, done, paths);
  }

  hook(name: string, kind: "postBuild" | "diff" | "upload" = "postBuild"): HookId {
    const hook = `hook-${++this.ids}` as HookId;
    this.add({ type: "hookQueued", hook, kind, goal: drv(name), paths: [storePath(name)] });
    return hook;
  }

  /** Samples a machine: the share of each core in use. */
  usage(
    machine: string,
    cores: readonly number[],
    load1 = cores.reduce((sum, core) => sum + core, 0),
    host: string | null = null,
  ): this {
    return this.add({
      type: "usageSampled",
      machine: machineId(machine),
      host,
      cores,
      load1,
      memoryUsedBytes: String(6 * 2 ** 30),
      memoryTotalBytes: String(16 * 2 ** 30),
    });
  }

  finishRun(outcome: Partial<RunOutcome> = {}): this {
    return this.add({
      type: "runFinished",
      outcome: {
        exitStatus: 0,
        built: 0,
        substituted: 0,
        alreadyValid: 0,
        failed: 0,
        cancelled: 0,
        notBuilt: 0,
        outputs: [],
        interrupted: false,
        ...outcome,
      },
    });
  }

  private copy(
    direction: "upload" | "download",
    machine: string,
    claim: ClaimId | null,
    expected: number,
    done: number,
    paths: number,
  ): CopyId {
    const copy = `copy-${++this.ids}` as CopyId;
    this.add({
      type: "copyStarted",
      copy,
      direction,
      machine: machineId(machine),
      claim,
      paths,
      expectedBytes: String(expected),
    });
    if (done > 0) this.add({ type: "copyProgressed", copy, doneBytes: String(done) });
    return copy;
  }
}

function goal(name: string, options: GoalOptions): GoalDescription {
  const kind = options.kind ?? "derivation";
  return {
    goal: kind === "path" ? storePath(name) : drv(name),
    name,
    kind,
    system: "x86_64-linux",
    requiredFeatures: options.features ?? [],
    outputs: kind === "path" ? [] : ["out"],
    inputs: (options.inputs ?? []).map(drv),
    isTarget: options.isTarget ?? false,
    expectedMs: options.expectedMs ?? null,
  };
}

export function eventScript(): EventScript {
  return new EventScript();
}
