import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { EngineEvent, GoalResult, MachineState, WaitingReason } from "../../../../src/engine/events/event.ts";
import type { ClaimId, CopyId, HookId } from "../../../../src/engine/events/ids.ts";
import { type Board, createBoard, GOAL_STATUSES } from "../../../../src/ui/model/board/board.ts";
import { reduce } from "../../../../src/ui/model/board/reduce.ts";
import { countersOf, statusOf, waitingLabel } from "../../../../src/ui/model/board/tally.ts";
import { drv, eventScript, machineId, reduceAll, storePath } from "../../../support/event-script.ts";
import { busyScene, failedScene } from "../../../support/scenes.ts";

/** Everything that is counted, counted again from the goals, lanes and hooks themselves. */
function recount(board: Board): unknown {
  const byStatus = { derivation: zeros(), path: zeros() };
  const waiting: Record<string, number> = {};
  let downloaded = 0;
  for (const goal of board.goals.values()) {
    byStatus[goal.description.kind][statusOf(goal.state)]++;
    downloaded += goal.downloadedBytes;
    if (goal.state.type !== "waiting") continue;
    const label = waitingLabel(goal.state.reason, goal.description);
    waiting[label] = (waiting[label] ?? 0) + 1;
  }
  const busy = [...board.machines.values()].map(
    (machine) => machine.lanes.filter((lane) => lane.type === "busy").length,
  );
  const failures = [...board.goals.values()].filter((goal) => statusOf(goal.state) === "failed").map((goal) => goal.id);
  return { byStatus, waiting, downloaded, busy, failures: failures.sort() };
}

function counted(board: Board): unknown {
  const { byStatus, waiting, downloadedBytes } = board.tally;
  return {
    byStatus,
    waiting: Object.fromEntries([...waiting].map(([label, group]) => [label, group.goals.size])),
    downloaded: downloadedBytes,

    busy: [...board.machines.values()].map((machine) => machine.busy),
    failures: [...board.failures].map((goal) => goal.id).sort(),
  };
}

function zeros(): Record<(typeof GOAL_STATUSES)[number], number> {
  return Object.fromEntries(GOAL_STATUSES.map((status) => [status, 0])) as Record<
    (typeof GOAL_STATUSES)[number],
    number
  >;
}

// A small world, so that events often meet: and in any order, so that most of them are nonsense.
const goalName = fc.constantFrom("a", "b", "c", "d", "e");
const machineName = fc.constantFrom("m1", "m2").map(machineId);
const claim = fc.constantFrom("c1", "c2", "c3", "c4").map((id) => id as ClaimId);
const hook = fc.constantFrom("h1", "h2").map((id) => id as HookId);
const copy = fc.constantFrom("y1", "y2").map((id) => id as CopyId);
const reason: fc.Arbitrary<WaitingReason> = fc.oneof(
  fc.constant<WaitingReason>({ type: "paused" }),
  fc.constant<WaitingReason>({ type: "slots", machines: [machineId("m1")] }),
  fc.nat(5).map((pending): WaitingReason => ({ type: "inputs", pending, first: [] })),
);
const result: fc.Arbitrary<GoalResult> = fc.oneof(
  fc.constant<GoalResult>({ type: "alreadyValid", outputs: [] }),
  fc.constant<GoalResult>({ type: "substituted", outputs: [] }),
  fc.constant<GoalResult>({ type: "cancelled", reason: "asked" }),
  fc.constant<GoalResult>({ type: "notBuilt", because: null, reason: "stopped" }),
  fc.constant<GoalResult>({
    type: "built",
    outputs: [],
    machine: machineId("m1"),
    durationMs: 5,
    rounds: 1,
    nonDeterministic: false,
  }),
  fc.constant<GoalResult>({
    type: "failed",
    failure: {
      kind: "final",
      status: "PermanentFailure",
      exitClass: "build",
      message: "no",
      logTail: [],
      machine: null,
      logFile: null,
      keptDirectory: null,
      attempts: [],
    },
  }),
);
const machineState: fc.Arbitrary<MachineState> = fc.constantFrom<MachineState>(
  { type: "up" },
  { type: "cordoned" },
  { type: "off", reason: "gone" },
);
const event: fc.Arbitrary<EngineEvent> = fc.oneof(
  fc.tuple(goalName, fc.subarray(["a", "b", "c"]), fc.boolean()).map(
    ([name, inputs, isPath]): EngineEvent => ({
      type: "goalsAdded",
      goals: [
        {
          goal: drv(name),
          name,
          kind: isPath ? "path" : "derivation",
          system: "x",
          requiredFeatures: inputs,
          outputs: [],
          inputs: inputs.map(drv),
          isTarget: false,
          expectedMs: null,
        },
      ],
    }),
  ),
  fc.tuple(goalName, reason).map(([name, why]): EngineEvent => ({ type: "goalWaiting", goal: drv(name), reason: why })),
  goalName.map(
    (name): EngineEvent => ({ type: "substitutionStarted", goal: drv(name), paths: [storePath(name)], from: "cache" }),
  ),
  fc.tuple(goalName, fc.nat(1000)).map(
    ([name, done]): EngineEvent => ({
      type: "substitutionProgressed",
      goal: drv(name),
      doneBytes: String(done),
      expectedBytes: "1000",
    }),
  ),
  fc
    .tuple(goalName, result)
    .map(([name, end]): EngineEvent => ({ type: "goalFinished", goal: drv(name), result: end })),
  goalName.map((name): EngineEvent => ({ type: "goalReopened", goal: drv(name) })),
  fc.tuple(goalName, claim, machineName, fc.nat(3)).map(
    ([name, id, machine, slot]): EngineEvent => ({
      type: "buildAssigned",
      claim: id,
      goal: drv(name),
      machine,
      slot,
      attempt: 1,
      round: 1,
      rounds: 1,
      isCheck: false,
      expectedMs: null,
      explanation: "",
    }),
  ),
  fc
    .tuple(claim, fc.constantFrom("built" as const, "cancelled" as const))
    .map(([id, type]): EngineEvent => ({ type: "buildEnded", claim: id, durationMs: 1, result: { type } })),
  claim.map((id): EngineEvent => ({ type: "buildLogged", claim: id, lines: ["x"] })),
  fc.tuple(machineName, fc.nat(3)).map(
    ([machine, slots]): EngineEvent => ({
      type: "machineAdded",
      machine: {
        machine,
        uri: machine,
        systems: [],
        slots,
        speedFactor: 1,
        supportedFeatures: [],
        mandatoryFeatures: [],
        buildCores: null,
        cores: null,
      },
    }),
  ),
  fc
    .tuple(machineName, fc.nat(4))
    .map(([machine, slots]): EngineEvent => ({ type: "machineSlotsChanged", machine, slots })),
  fc
    .tuple(machineName, machineState)
    .map(([machine, state]): EngineEvent => ({ type: "machineStateChanged", machine, state })),
  fc
    .tuple(hook, goalName)
    .map(
      ([id, name]): EngineEvent => ({ type: "hookQueued", hook: id, kind: "postBuild", goal: drv(name), paths: [] }),
    ),
  hook.map((id): EngineEvent => ({ type: "hookStarted", hook: id, attempt: 1 })),
  fc.tuple(hook, fc.boolean()).map(
    ([id, good]): EngineEvent => ({
      type: "hookFinished",
      hook: id,
      result: good ? { type: "succeeded", durationMs: 1 } : { type: "failed", reason: "no" },
    }),
  ),
  fc.tuple(copy, machineName).map(
    ([id, machine]): EngineEvent => ({
      type: "copyStarted",
      copy: id,
      direction: "upload",
      machine,
      claim: null,
      paths: 1,
      expectedBytes: "9",
    }),
  ),
  fc
    .tuple(copy, fc.nat(9))
    .map(([id, done]): EngineEvent => ({ type: "copyProgressed", copy: id, doneBytes: String(done) })),
);

describe("the board", () => {
  it("counts the same as a recount from scratch, after any events in any order", () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        const board = createBoard();
        events.forEach((one, seq) => {
          reduce(board, { seq, at: seq * 100, event: one });
          expect(counted(board)).toEqual(recount(board));
        });
        const hooks = [...board.hooks.values()];
        for (const type of ["queued", "running", "failed"] as const)
          expect(board.hookTally[type]).toBe(hooks.filter((one) => one.state.type === type).length);
        const { running, done, expected } = countersOf(board);
        expect(running + done).toBeLessThanOrEqual(expected);
        for (const machine of board.machines.values())
          expect(machine.lanes.length).toBeGreaterThanOrEqual(machine.slots);
      }),
      { numRuns: 300 },
    );
  });

  it("counts a run that happens", () => {
    const board = reduceAll(createBoard(), failedScene().events);
    expect(counted(board)).toEqual(recount(board));
    expect(countersOf(board)).toMatchObject({ running: 0, done: 32, failed: 1 });
  });

  it("links goals to those that need them, also those learned of later", () => {
    const board = reduceAll(
      createBoard(),
      eventScript()
        .goals({ top: { inputs: ["low"] } })
        .goals({ low: {} }).events,
    );
    expect(board.goals.get(drv("low"))?.dependants.map((goal) => goal.description.name)).toEqual(["top"]);
  });

  it("ignores events it does not know", () => {
    const board = createBoard();
    reduce(board, { seq: 0, at: 0, event: { type: "somethingNewer", goal: 1 } as unknown as EngineEvent });
    expect(board.goals.size).toBe(0);
  });

  it("keeps a build that waits for another round while one runs as building, and lets it wait after", () => {
    const script = eventScript().machine("m").goals({ a: {} });
    const first = script.build("a", "m", { rounds: 2 });
    script.waiting("a", { type: "slots", machines: [] });
    const board = reduceAll(createBoard(), script.take());
    const goal = board.goals.get(drv("a"));
    expect(goal?.state.type).toBe("building");
    reduceAll(board, script.end(first).take());
    expect(goal?.state.type).toBe("waiting");
  });

  it("keeps a busy lane when its slot is taken away, and drops it when the build ends", () => {
    const script = eventScript().machine("m", { slots: 2 }).goals({ a: {} });
    const claim = script.build("a", "m", { slot: 1 });
    script.add({ type: "machineSlotsChanged", machine: machineId("m"), slots: 1 });
    const board = reduceAll(createBoard(), script.take());
    const machine = board.machines.get(machineId("m"));
    expect(machine?.lanes.map((lane) => lane.type)).toEqual(["idle", "busy"]);
    reduceAll(board, script.end(claim).take());
    expect(machine?.lanes.map((lane) => lane.type)).toEqual(["idle"]);
  });

  it("bounds what it remembers of logs", () => {
    const script = eventScript().machine("m").goals({ a: {} });
    const claim = script.build("a", "m");
    for (let line = 0; line < 8000; line++) script.log(claim, `line ${line}`);
    const board = reduceAll(createBoard(), script.take());
    const build = board.builds.get(claim);
    expect(build?.log.total).toBe(8000);
    expect(build?.log.first).toBe(3000);
    reduceAll(board, script.end(claim).take());
    expect(build?.log.line(7999)).toBe("line 7999");
    expect(build?.log.line(7000)).toBeNull();
  });

  it("is fast enough for a graph of Debian's size", () => {
    const goals = Array.from({ length: 63_569 }, (_, index) => `package-${index}`);
    const script = eventScript().machine("m", { slots: 8 });
    script.goals(
      Object.fromEntries(goals.map((name, index) => [name, { inputs: index === 0 ? [] : [`package-${index >> 1}`] }])),
    );
    for (const name of goals) script.waiting(name, { type: "inputs", pending: 1, first: [] });
    for (const name of goals.slice(0, 20_000)) {
      const claim = script.build(name, "m");
      script.log(claim, "one line").built(claim, name, "m");
    }
    const board = createBoard();
    const before = performance.now();
    reduceAll(board, script.events);
    const perEvent = ((performance.now() - before) * 1000) / script.events.length;
    expect(countersOf(board)).toMatchObject({ running: 0, done: 20_000, expected: 63_569 });
    // Generous: a shared machine. Anything that grows with the number of goals is a thousand times slower.
    expect(perEvent).toBeLessThan(100);
  });
});

describe("the busy scene", () => {
  it("shows what the manual calls running/done/expected", () => {
    const board = reduceAll(createBoard(), busyScene().events);
    expect(countersOf(board)).toMatchObject({ running: 6, done: 4, expected: 34, failed: 1 });
  });
});
