// The shape of every event as it is read back: one check per field, which the compiler compares with the events themselves.
import {
  amount,
  type Check,
  check,
  count,
  decimal,
  fields,
  list,
  type Misfit,
  oneOf,
  orNull,
  text,
  time,
  truth,
  variant,
} from "./checks.ts";
import type {
  BuildEnd,
  BuildFailure,
  EngineEvent,
  Estimate,
  GoalDescription,
  GoalResult,
  HookResult,
  MachineDescription,
  MachineState,
  OutputPath,
  RunOutcome,
  WaitingReason,
} from "./event.ts";

/** More slots than any list of machines has: the board makes a row for each. */
const MAX_SLOTS = 65_536;
/** More attempts, rounds, builds than any run has. */
const MANY = 1e9;

type Shape<T> = { readonly [Name in Exclude<keyof T, "type">]: Check };
type Shapes<T extends { readonly type: string }> = { readonly [Type in T["type"]]: Shape<Extract<T, { type: Type }>> };

const number = count(MANY);
const slots = count(MAX_SLOTS);
const texts = list(text);

const outputs = list(fields({ name: text, path: text } satisfies Shape<OutputPath>));

const failure = fields({
  kind: oneOf("final", "machinery"),
  status: text,
  message: text,
  logTail: texts,
  machine: orNull(text),
  exitClass: oneOf("build", "timeout", "hashMismatch", "notDeterministic", "other"),
  logFile: orNull(text),
  keptDirectory: orNull(text),
  attempts: texts,
} satisfies Shape<BuildFailure>);

const goalResult = variant({
  alreadyValid: { outputs },
  substituted: { outputs },
  built: { outputs, machine: text, durationMs: amount, rounds: number, nonDeterministic: truth },
  failed: { failure },
  cancelled: { reason: text },
  notBuilt: { because: orNull(text), reason: text },
} satisfies Shapes<GoalResult>);

const waitingReason = variant({
  inputs: { pending: number, first: texts },
  slots: { machines: texts },
  // Recordings that have this reason may lack its numbers.
  betterMachine: {
    machine: text,
    expectedAt: time,
    because: check("a text", (value) => value === undefined || typeof value === "string"),
  },
  coolingDown: { machines: texts, until: time },
  connecting: { machines: texts },
  cordoned: { machines: texts },
  backOff: { until: time, attempt: number, lastFailure: text },
  hook: { hook: text },
  paused: {},
} satisfies Shapes<WaitingReason>);

const goal = fields({
  goal: text,
  name: text,
  kind: oneOf("derivation", "path"),
  system: text,
  requiredFeatures: texts,
  outputs: texts,
  inputs: texts,
  isTarget: truth,
  expectedMs: orNull(amount),
} satisfies Shape<GoalDescription>);

const outcome = fields({
  exitStatus: count(255),
  built: number,
  substituted: number,
  alreadyValid: number,
  failed: number,
  cancelled: number,
  notBuilt: number,
  outputs: texts,
  interrupted: truth,
} satisfies Shape<RunOutcome>);

const estimate = fields({ lowMs: amount, highMs: amount, unpredictable: number } satisfies Shape<Estimate>);

const buildEnd = variant({
  built: {},
  alreadyValid: {},
  failed: { kind: oneOf("final", "machinery"), message: text },
  cancelled: {},
} satisfies Shapes<BuildEnd>);

const machine = fields({
  machine: text,
  uri: text,
  systems: texts,
  slots,
  speedFactor: amount,
  supportedFeatures: texts,
  mandatoryFeatures: texts,
  buildCores: orNull(slots),
  cores: orNull(slots),
} satisfies Shape<MachineDescription>);

const machineState = variant({
  idle: {},
  connecting: {},
  up: {},
  coolingDown: { reason: text, until: time, failures: number },
  cordoned: {},
  draining: {},
  off: { reason: text },
} satisfies Shapes<MachineState>);

const hookResult = variant({
  succeeded: { durationMs: amount },
  willRetry: { reason: text, at: time },
  failed: { reason: text },
  left: { reason: text },
  givenUp: { reason: text, attempts: number },
  dropped: { reason: text },
} satisfies Shapes<HookResult>);

const level = oneOf("info", "warning", "error");
const stage = oneOf("preparing", "sendingInputs", "building", "receivingOutputs");
const how = oneOf("drain", "cancel");
const round = { goal: text, round: number };

const EVENTS: Shapes<EngineEvent> = {
  runStarted: {
    eventsVersion: number,
    runId: text,
    program: text,
    store: text,
    policy: text,
    keepGoing: truth,
    rounds: number,
  },
  runStageChanged: { stage: oneOf("evaluating", "opening", "planning", "building", "finishing"), detail: text },
  runStopping: { how, reason: text },
  dispatchPaused: {},
  dispatchResumed: {},
  estimateChanged: { remaining: orNull(estimate) },
  noticeRaised: {
    level,
    code: text,
    message: text,
    hint: orNull(text),
    cause: orNull(text),
    machine: orNull(text),
    goal: orNull(text),
  },
  runHeld: { exitStatus: count(255) },
  runFinished: { outcome },
  goalsAdded: { goals: list(goal) },
  goalWaiting: { goal: text, reason: waitingReason },
  substitutionStarted: { goal: text, paths: texts, from: text },
  substitutionProgressed: { goal: text, doneBytes: decimal, expectedBytes: decimal },
  goalFinished: { goal: text, result: goalResult },
  goalReopened: { goal: text },
  buildAssigned: {
    claim: text,
    goal: text,
    machine: text,
    slot: slots,
    attempt: number,
    round: number,
    rounds: number,
    isCheck: truth,
    expectedMs: orNull(amount),
    explanation: text,
  },
  buildStageChanged: { claim: text, stage },
  buildPhaseChanged: { claim: text, phase: text },
  buildLogKept: { claim: text, file: text },
  buildLogged: { claim: text, lines: texts },
  buildEnded: { claim: text, durationMs: amount, result: buildEnd },
  copyStarted: {
    copy: text,
    direction: oneOf("upload", "download"),
    machine: text,
    claim: orNull(text),
    paths: number,
    expectedBytes: decimal,
  },
  copyProgressed: { copy: text, doneBytes: decimal },
  copyFinished: { copy: text, doneBytes: decimal, durationMs: amount, failure: orNull(text) },
  machineAdded: { machine },
  machineStateChanged: { machine: text, state: machineState },
  machineSlotsChanged: { machine: text, slots },
  machineIdentified: { machine: text, nixVersion: orNull(text), protocol: text, trusted: orNull(truth) },
  roundFinished: { ...round, claim: text, rounds: number, machine: text, verdict: oneOf("first", "same", "differs") },
  outputDiffered: {
    ...round,
    output: text,
    firstPath: text,
    otherPath: orNull(text),
    firstMachine: text,
    otherMachine: text,
    summary: texts,
  },
  hookQueued: { hook: text, kind: oneOf("postBuild", "diff", "upload"), goal: text, paths: texts },
  hookStarted: { hook: text, attempt: number },
  hookLogged: { hook: text, lines: texts },
  hookFinished: { hook: text, result: hookResult },
  usageSampled: {
    machine: text,
    host: orNull(text),
    cores: list(amount),
    load1: amount,
    memoryUsedBytes: decimal,
    memoryTotalBytes: decimal,
  },
  usageUnavailable: { machine: text, reason: text },
  requestAnswered: { request: text, done: truth, message: text },
};

const CHECKS = new Map(Object.entries(EVENTS).map(([type, shape]) => [type, fields(shape)]));

/** What is wrong with an event that was read; null when it is valid, or its type unknown to this program. */
export function misfitOf(event: { readonly type: string }): Misfit | null {
  return CHECKS.get(event.type)?.(event, "") ?? null;
}
