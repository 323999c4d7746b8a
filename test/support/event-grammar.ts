// What a sequence of events must be like to be one that a run can have sent: the order of things, what must be known before it is named,
// and what must have ended before the end. One checker for hand-written scripts, recordings and live runs.
//
// The rules are those of src/engine/run/build-run.ts, the driver and the plan. Where one is less strict than a reader may expect, a comment
// beside it says what the engine does.
import type { EngineEvent, PublishedEvent, RunOutcome, RunStage } from "../../src/engine/events/event.ts";
import { CopyGrammar } from "./event-grammar-copies.ts";
import { GoalGrammar } from "./event-grammar-goals.ts";
import { HookGrammar } from "./event-grammar-hooks.ts";
import { MachineGrammar } from "./event-grammar-machines.ts";
import type { Complain, GrammarPart } from "./event-grammar-part.ts";

export interface GrammarOptions {
  /** False for what was cut short: a run that was killed, or one that is looked at while it goes on. True when absent. */
  readonly isWhole?: boolean;
}

const STAGES: readonly RunStage[] = ["opening", "evaluating", "planning", "building", "finishing"];

/** What happens only while builds are made. Notices, samples and answers come at any time, machines may change until all is closed. */
const DRIVEN = new Set<EngineEvent["type"]>([
  "machineAdded",
  "goalsAdded",
  "goalWaiting",
  "goalReopened",
  "goalFinished",
  "substitutionStarted",
  "substitutionProgressed",
  "buildAssigned",
  "buildStageChanged",
  "buildPhaseChanged",
  "buildLogKept",
  "buildLogged",
  "buildEnded",
  "roundFinished",
  "outputDiffered",
  "copyStarted",
  "copyProgressed",
  "copyFinished",
]);

/** Everything that is wrong with a run's events, each complaint with the event it is about; empty when nothing is. */
export function grammarComplaints(events: readonly PublishedEvent[], options: GrammarOptions = {}): string[] {
  const complaints: string[] = [];
  let about = "before the first event";
  const complain: Complain = (what) => complaints.push(`${about}: ${what}`);
  const machines = new MachineGrammar();
  const goals = new GoalGrammar();
  const parts: readonly GrammarPart[] = [
    machines,
    goals,
    new CopyGrammar((claim) => goals.claimState(claim)),
    new HookGrammar((goal) => goals.isKnown(goal)),
  ];
  const answered = new Set<string>();
  let stage = -1;
  let isOver = false;
  let before: PublishedEvent | null = null;
  for (const published of events) {
    const { seq, at, event } = published;
    about = `${seq} ${event.type}`;
    if (isOver) complain("the run has finished already");
    if (seq !== (before?.seq ?? -1) + 1) complain(`expected number ${(before?.seq ?? -1) + 1}`);
    if (before !== null && at < before.at) complain(`its time is ${before.at - at} ms before that of the event before`);
    if ((before === null) !== (event.type === "runStarted")) {
      complain(before === null ? "the first event must be runStarted" : "the run has started already");
    }
    before = published;
    if (DRIVEN.has(event.type) && STAGES[stage] !== "building")
      complain(`it belongs to stage building, not ${nameOf(stage)}`);
    switch (event.type) {
      case "runStageChanged": {
        const next = STAGES.indexOf(event.stage);
        // Finishing is said twice: once for the links, once more for the hooks that are still waited for.
        const isAgain = event.stage === "finishing" && next === stage;
        if (next !== stage + 1 && !isAgain) complain(`stage ${event.stage} comes after ${nameOf(stage)}`);
        stage = next;
        break;
      }
      case "runHeld":
        // By the plan while it builds, by the queue of hooks afterwards.
        if (stage < STAGES.indexOf("building")) complain("nothing can have failed yet");
        break;
      case "requestAnswered":
        if (answered.has(event.request)) complain(`request ${event.request} was answered before`);
        answered.add(event.request);
        break;
      case "runFinished":
        isOver = true;
        // What breaks before the last stage ends with an outcome in which nothing is counted.
        if (nameOf(stage) !== "finishing" && countOf(event.outcome) > 0)
          complain("it counts goals, but has not finished");
        break;
    }
    for (const part of parts) {
      part.hear(event, complain);
      // A run that ends before stage finishing broke, or was stopped before there was anything to drive.
      if (event.type === "runFinished") part.end(event.outcome, nameOf(stage) === "finishing", complain);
    }
  }
  about = "at the end";
  if (before === null) complain("there is no event");
  else if (!isOver && options.isWhole !== false) complain("the run has not finished");
  return complaints;
}

/** @throws with every complaint, when there is one */
export function expectGrammar(events: readonly PublishedEvent[], options: GrammarOptions = {}): void {
  const complaints = grammarComplaints(events, options);
  if (complaints.length === 0) return;
  throw new Error(`these are not the events of a run:\n${complaints.map((complaint) => `  ${complaint}`).join("\n")}`);
}

function countOf({ built, substituted, alreadyValid, failed, cancelled, notBuilt }: RunOutcome): number {
  return built + substituted + alreadyValid + failed + cancelled + notBuilt;
}

function nameOf(stage: number): string {
  return STAGES[stage] ?? "the start";
}
