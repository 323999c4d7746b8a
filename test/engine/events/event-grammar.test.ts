// The grammar of events: scenes and recordings keep it, what no run can have sent does not, and what surprises is allowed.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { EngineEvent, PublishedEvent } from "../../../src/engine/events/event.ts";
import type { ClaimId, CopyId, HookId, RequestId } from "../../../src/engine/events/ids.ts";
import { parseRecording } from "../../../src/engine/events/recording.ts";
import { expectGrammar, grammarComplaints } from "../../support/event-grammar.ts";
import { drv, type EventScript, eventScript, machineId } from "../../support/event-script.ts";
import { busyScene, doneScene, failedScene, roundsScene, startScene, wideScene } from "../../support/scenes.ts";

const DEMO = new URL("../../../docs/pictures/demo.jsonl", import.meta.url);
const OWN_STORE = new URL("../../fixtures/recordings/embedded.jsonl", import.meta.url);

function recorded(file: URL): readonly PublishedEvent[] {
  return parseRecording(readFileSync(file, "utf8").split("\n"), file.pathname).events;
}

/** Events with a machine that is up and two goals, the second of which needs the first. */
function begun(): EventScript {
  return eventScript()
    .begin()
    .machine("m")
    .up("m")
    .goals({ low: {}, top: { inputs: ["low"], isTarget: true } });
}

/** What is said of events added to {@link begun}, without the number and the name of the event. */
function saidOf(write: (script: EventScript) => unknown): string[] {
  const script = begun();
  write(script);
  return grammarComplaints(script.events, { isWhole: false }).map((complaint) => complaint.replace(/^.*?: /, ""));
}

const answer: EngineEvent = { type: "requestAnswered", request: "r1" as RequestId, done: true, message: "" };
const queued = (hook: HookId): EngineEvent => ({
  type: "hookQueued",
  hook,
  kind: "upload",
  goal: drv("other"),
  paths: [],
});
const willRetry = { type: "willRetry", reason: "busy", at: 0 } as const;
const left = { type: "left", reason: "the run was ended" } as const;
const verdict = { round: 1, rounds: 1, machine: machineId("m"), verdict: "first" } as const;
const notBuilt = { type: "notBuilt", because: null, reason: "stopped" } as const;

describe("the grammar of events", () => {
  it("is kept by the scenes, of which some go on", () => {
    for (const { events } of [doneScene(), failedScene()]) expect(grammarComplaints(events)).toEqual([]);
    for (const { events } of [startScene(), busyScene(), wideScene(), roundsScene()])
      expect(grammarComplaints(events, { isWhole: false })).toEqual([]);
  });

  it("is kept by the recorded demo", () => {
    expect(grammarComplaints(recorded(DEMO))).toEqual([]);
  });

  const pairs = [
    "copyStarted",
    "copyFinished",
    "buildAssigned",
    "buildEnded",
    "hookQueued",
    "hookStarted",
    "hookFinished",
  ];
  const once = ["runStarted", "machineAdded", "goalsAdded", "goalFinished", "runFinished", ...pairs];

  it.each(once)("misses %s wherever it is taken out", (type) => {
    const events = recorded(OWN_STORE);
    for (const at of placesOf(type, events))
      expect(grammarComplaints(renumbered(events.toSpliced(at, 1))), `${at}`).not.toEqual([]);
  });

  it.each([...once, "buildLogKept"])("notices %s wherever it comes twice", (type) => {
    const events = recorded(OWN_STORE);
    for (const at of placesOf(type, events))
      expect(grammarComplaints(renumbered(events.toSpliced(at, 0, events[at]!))), `${at}`).not.toEqual([]);
  });

  it("misses the end of a run only where it must have one", () => {
    const events = doneScene().events.slice(0, -1);
    expect(grammarComplaints(events, { isWhole: false })).toEqual([]);
    expect(grammarComplaints(events)).toEqual(["at the end: the run has not finished"]);
    expect(grammarComplaints([])).toEqual(["at the end: there is no event"]);
  });

  it("throws all complaints at once where a run must keep it", () => {
    const script = eventScript().stage("planning").add(answer).add(answer);
    expect(() => expectGrammar(script.events)).toThrow(
      [
        "these are not the events of a run:",
        "  0 runStageChanged: the first event must be runStarted",
        "  0 runStageChanged: stage planning comes after the start",
        "  2 requestAnswered: request r1 was answered before",
        "  at the end: the run has not finished",
      ].join("\n"),
    );
  });

  it("counts what the outcome counts, in runs that came to their end", () => {
    const script = begun().finish("top", notBuilt).stage("finishing").finishRun({ built: 1, notBuilt: 1 });
    const last = `${script.events.length - 1} runFinished`;
    expect(grammarComplaints(script.events)).toEqual([
      `${last}: goal ${drv("low")} has not finished`,
      `${last}: the outcome counts 1 built, the events 0`,
    ]);
    const broken = eventScript().start().stage("opening").finishRun({ exitStatus: 1 });
    expect(grammarComplaints(broken.events)).toEqual([]);
    const early = eventScript().start().stage("opening").finishRun({ built: 1 });
    expect(grammarComplaints(early.events)).toEqual(["2 runFinished: it counts goals, but has not finished"]);
  });

  it("hears gaps in the numbers and times that go back", () => {
    const [first, second] = eventScript().start().stage("opening").events as [PublishedEvent, PublishedEvent];
    expect(grammarComplaints([first, { ...second, seq: 2, at: first.at - 5 }], { isWhole: false })).toEqual([
      "2 runStageChanged: expected number 1",
      "2 runStageChanged: its time is 5 ms before that of the event before",
    ]);
  });

  it.each<[string, (script: EventScript) => unknown, string]>([
    ["a stage that comes again", (s) => s.stage("building"), "stage building comes after building"],
    ["a stage that goes back", (s) => s.stage("planning"), "stage planning comes after building"],
    [
      "builds after the last stage",
      (s) => s.stage("finishing").build("low", "m"),
      "it belongs to stage building, not finishing",
    ],
    ["a machine nobody knows", (s) => s.up("n"), "machine n was never added"],
    ["a machine that is not up", (s) => s.state("m", { type: "idle" }).build("low", "m"), "machine m is not up"],
    ["a goal nobody knows", (s) => s.finish("other", notBuilt), `goal ${drv("other")} was never learned of`],
    ["a goal that needs another", (s) => s.build("top", "m"), `its input ${drv("low")} is not done`],
    [
      "a goal that is being built",
      (s) => [s.build("low", "m"), s.finish("low", notBuilt)],
      "claim claim-1 of it is still open",
    ],
    [
      "a goal that went well",
      (s) => [s.built(s.build("low", "m"), "low", "m"), s.add({ type: "goalReopened", goal: drv("low") })],
      `goal ${drv("low")} has not ended badly`,
    ],
    [
      "a slot that is taken",
      (s) => [s.build("low", "m"), s.build("low", "m")],
      "claim claim-1 is still in slot 0 of m",
    ],
    ["a round too many", (s) => s.build("low", "m", { round: 2 }), "there is no round 2 of 1"],
    [
      "the log of a build that ended",
      (s) => {
        const claim = s.build("low", "m");
        s.end(claim).log(claim, "late");
      },
      "claim claim-1 is built",
    ],
    ["a phase of a build nobody knows", (s) => s.phase("c" as ClaimId, "buildPhase"), "claim c is unknown"],
    [
      "a file told of late",
      (s) => {
        const claim = s.build("low", "m");
        s.log(claim, "line").logFile(claim, "/log");
      },
      "claim claim-1 has said so before, or has begun its log",
    ],
    [
      "a verdict before the end",
      (s) => s.add({ type: "roundFinished", goal: drv("low"), claim: s.build("low", "m"), ...verdict }),
      "claim claim-1 has not ended",
    ],
    [
      "outputs fetched of a failed build",
      (s) => {
        const claim = s.build("low", "m");
        s.end(claim, { type: "cancelled" }).download("m", claim, 1, 0);
      },
      "claim claim-1 is ended",
    ],
    [
      "inputs sent after the build",
      (s) => {
        const claim = s.build("low", "m");
        s.end(claim).upload("m", claim, 1, 0);
      },
      "claim claim-1 is built",
    ],
    [
      "a copy nobody knows",
      (s) => s.add({ type: "copyProgressed", copy: "x" as CopyId, doneBytes: "1" }),
      "copy x is unknown",
    ],
    [
      "output of a hook that waits",
      (s) => s.add({ type: "hookLogged", hook: s.hook("low"), lines: ["x"] }),
      "hook hook-1 is queued",
    ],
    [
      "a try without a word",
      (s) => s.add({ type: "hookStarted", hook: s.hook("low"), attempt: 2 }),
      "hook hook-1 is queued",
    ],
    [
      "a success without a try",
      (s) => s.add({ type: "hookFinished", hook: s.hook("low"), result: { type: "succeeded", durationMs: 1 } }),
      "hook hook-1 is queued",
    ],
  ])("does not allow %s", (_what, write, complaint) => {
    expect(saidOf(write)).toContain(complaint);
  });

  it.each<[string, (script: EventScript) => unknown]>([
    [
      "outputs that are fetched after the slot is free",
      (s) => {
        const claim = s.build("low", "m");
        s.end(claim).add({ type: "buildStageChanged", claim, stage: "receivingOutputs" });
        s.build("low", "m");
        s.download("m", claim, 1, 0);
      },
    ],
    ["goals that are learned of late", (s) => s.goals({ later: {} })],
    ["inputs that are never learned of", (s) => [s.goals({ alone: { inputs: ["valid"] } }), s.build("alone", "m")]],
    [
      "a goal that is tried again",
      (s) => {
        s.failed(s.build("low", "m"), "low", "m").add({ type: "goalReopened", goal: drv("low") });
        s.built(s.build("low", "m"), "low", "m");
      },
    ],
    [
      "a hook with several tries, the last of which is not made",
      (s) => {
        const hook = s.hook("low");
        s.add({ type: "hookStarted", hook, attempt: 1 }).add({ type: "hookFinished", hook, result: willRetry });
        s.add({ type: "hookStarted", hook, attempt: 2 }).add({ type: "hookFinished", hook, result: willRetry });
        s.add({ type: "hookFinished", hook, result: left });
      },
    ],
    [
      "a hook that is queued again after it was left",
      (s) => {
        const hook = s.hook("low");
        s.add({ type: "hookFinished", hook, result: left })
          .add(queued(hook))
          .add({ type: "hookStarted", hook, attempt: 1 });
      },
    ],
    ["a last stage that is said twice", (s) => s.stage("finishing").stage("finishing", "1 hook or upload left")],
  ])("allows %s", (_what, write) => {
    expect(saidOf(write)).toEqual([]);
  });

  it("allows hooks of an earlier run before there is anything to build, for goals of that run", () => {
    const script = eventScript().start().stage("opening").stage("evaluating").stage("planning");
    const hook = "earlier-1" as HookId;
    script.add(queued(hook)).add({ type: "hookFinished", hook, result: { type: "givenUp", reason: "", attempts: 9 } });
    expect(grammarComplaints(script.events, { isWhole: false })).toEqual([]);
  });
});

/** Where events of a type are; there must be some. */
function placesOf(type: string, events: readonly PublishedEvent[]): readonly number[] {
  const places = events.flatMap(({ event }, at) => (event.type === type ? [at] : []));
  expect(places).not.toEqual([]);
  return places;
}

function renumbered(events: readonly PublishedEvent[]): PublishedEvent[] {
  return events.map((published, seq) => ({ ...published, seq }));
}
