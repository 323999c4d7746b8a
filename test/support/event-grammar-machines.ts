// The grammar of machines: each is told of once, and only then named.
import type { EngineEvent, GoalResult, WaitingReason } from "../../src/engine/events/event.ts";
import type { MachineId } from "../../src/engine/events/ids.ts";
import type { Complain, GrammarPart } from "./event-grammar-part.ts";

export class MachineGrammar implements GrammarPart {
  /** Whether it is up. */
  readonly #machines = new Map<MachineId, boolean>();

  hear(event: EngineEvent, complain: Complain): void {
    if (event.type === "machineAdded") {
      const { machine } = event.machine;
      if (this.#machines.has(machine)) complain(`machine ${machine} was added before`);
      this.#machines.set(machine, false);
      return;
    }
    for (const machine of machinesIn(event)) {
      if (!this.#machines.has(machine)) complain(`machine ${machine} was never added`);
    }
    if (event.type === "machineStateChanged") this.#machines.set(event.machine, event.state.type === "up");
    if (event.type === "buildAssigned" && this.#machines.get(event.machine) === false) {
      complain(`machine ${event.machine} is not up`);
    }
  }

  end(): void {}
}

function machinesIn(event: EngineEvent): readonly MachineId[] {
  switch (event.type) {
    case "goalWaiting":
      return waitedFor(event.reason);
    case "goalFinished":
      return endedOn(event.result);
    case "noticeRaised":
      return event.machine === null ? [] : [event.machine];
    case "buildAssigned":
    case "copyStarted":
    case "machineStateChanged":
    case "machineSlotsChanged":
    case "machineIdentified":
    case "roundFinished":
    case "usageSampled":
    case "usageUnavailable":
      return [event.machine];
    case "outputDiffered":
      return [event.firstMachine, event.otherMachine];
    default:
      return [];
  }
}

function waitedFor(reason: WaitingReason): readonly MachineId[] {
  if ("machines" in reason) return reason.machines;
  return "machine" in reason ? [reason.machine] : [];
}

function endedOn(result: GoalResult): readonly MachineId[] {
  if (result.type === "built") return [result.machine];
  return result.type === "failed" && result.failure.machine !== null ? [result.failure.machine] : [];
}
