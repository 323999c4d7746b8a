// What happens to machines, transfers and hooks.
import type { CopyEvent, HookEvent, HookResult, MachineEvent, UsageEvent } from "../../../engine/events/event.ts";
import type { Board, Copy, Hook, HookState, Machine } from "./board.ts";
import { setLanes } from "./lanes.ts";
import { LogBuffer } from "./log-buffer.ts";
import { addToMeter, createMeter } from "./meter.ts";

const HOOK_LINES = 500;
const AVERAGE_WEIGHT = 0.2;

export function reduceMachine(board: Board, event: MachineEvent, at: number): void {
  if (event.type === "machineAdded") {
    const known = board.machines.get(event.machine.machine);
    if (known !== undefined) {
      known.description = event.machine;
      setLanes(known, event.machine.slots);
      return;
    }
    const machine: Machine = {
      id: event.machine.machine,
      description: event.machine,
      state: { type: "idle" },
      stateSince: at,
      slots: event.machine.slots,
      lanes: [],
      busy: 0,
      identity: null,
      usage: { type: "unknown" },
      up: createMeter(),
      down: createMeter(),
      done: { built: 0, failed: 0, totalMs: 0 },
    };
    setLanes(machine, event.machine.slots);
    board.machines.set(machine.id, machine);
    return;
  }
  const machine = board.machines.get(event.machine);
  if (machine === undefined) return;
  switch (event.type) {
    case "machineStateChanged":
      machine.state = event.state;
      machine.stateSince = at;
      return;
    case "machineSlotsChanged":
      setLanes(machine, event.slots);
      return;
    case "machineIdentified":
      machine.identity = { nixVersion: event.nixVersion, protocol: event.protocol, trusted: event.trusted };
      return;
  }
}

export function reduceUsage(board: Board, event: UsageEvent, at: number): void {
  const machine = board.machines.get(event.machine);
  if (machine === undefined) return;
  if (event.type === "usageUnavailable") {
    machine.usage = { type: "unavailable", reason: event.reason };
    return;
  }
  const busyCores = event.cores.reduce((sum, core) => sum + Math.min(1, Math.max(0, core)), 0);
  const before = machine.usage.type === "sampled" ? machine.usage : null;
  machine.usage = {
    type: "sampled",
    at,
    // Older recordings do not tell.
    host: event.host ?? null,
    cores: event.cores,
    busyCores,
    averageBusyCores:
      before === null ? busyCores : before.averageBusyCores + AVERAGE_WEIGHT * (busyCores - before.averageBusyCores),
    load1: event.load1,
    memoryUsed: Number(event.memoryUsedBytes),
    memoryTotal: Number(event.memoryTotalBytes),
    samples: (before?.samples ?? 0) + 1,
  };
}

export function reduceTransfer(board: Board, event: CopyEvent, at: number): void {
  if (event.type === "copyStarted") {
    const { copy: id, direction, machine, claim, paths } = event;
    const expectedBytes = Number(event.expectedBytes);
    board.copies.set(id, { id, direction, machine, claim, paths, expectedBytes, startedAt: at, doneBytes: 0 });
    return;
  }
  const copy = board.copies.get(event.copy);
  if (copy === undefined) return;
  progress(board, copy, Number(event.doneBytes), at);
  if (event.type === "copyFinished") board.copies.delete(event.copy);
}

function progress(board: Board, copy: Copy, doneBytes: number, at: number): void {
  const moved = doneBytes - copy.doneBytes;
  if (moved <= 0) return;
  copy.doneBytes = doneBytes;
  const machine = board.machines.get(copy.machine);
  if (machine !== undefined) addToMeter(copy.direction === "upload" ? machine.up : machine.down, moved, at);
}

export function reduceHook(board: Board, event: HookEvent, at: number): void {
  if (event.type === "hookQueued") {
    const known = board.hooks.get(event.hook);
    if (known !== undefined) {
      moveHook(board, known, { type: "queued", since: at });
      if (board.run.type === "held") board.run = { type: "running", info: board.run.info };
      return;
    }
    const { hook: id, kind, goal, paths } = event;
    board.hooks.set(id, {
      id,
      kind,
      goal,
      paths,
      state: { type: "queued", since: at },
      log: new LogBuffer(HOOK_LINES),
    });
    board.hookTally.queued++;
    return;
  }
  const hook = board.hooks.get(event.hook);
  if (hook === undefined) return;
  switch (event.type) {
    case "hookStarted":
      moveHook(board, hook, { type: "running", since: at, attempt: event.attempt });
      return;
    case "hookLogged":
      for (const line of event.lines) hook.log.push(line);
      if (hook.kind === "diff") keepDiff(board, hook, event.lines);
      return;
    case "hookFinished":
      moveHook(board, hook, settled(event.result, at));
      // What went well needs no row: its count is enough. Nor does what has nothing to do any more, which a notice names.
      if (hook.state.type === "succeeded" || hook.state.type === "dropped") board.hooks.delete(hook.id);
      return;
  }
}

/** A diff hook's output is of interest after it has ended, too. */
function keepDiff(board: Board, hook: Hook, lines: readonly string[]): void {
  const goal = board.goals.get(hook.goal);
  if (goal === undefined) return;
  goal.diffLog ??= new LogBuffer(HOOK_LINES);
  for (const line of lines) goal.diffLog.push(line);
}

function settled(result: HookResult, at: number): HookState {
  switch (result.type) {
    case "succeeded":
      return { type: "succeeded", durationMs: result.durationMs };
    case "willRetry":
      return { type: "retrying", reason: result.reason, at: result.at };
    case "failed":
      return { type: "failed", reason: result.reason, at };
    case "left":
    case "givenUp":
    case "dropped":
      return result;
  }
}

function moveHook(board: Board, hook: Hook, next: HookState): void {
  board.hookTally[hook.state.type]--;
  hook.state = next;
  board.hookTally[next.type]++;
}
