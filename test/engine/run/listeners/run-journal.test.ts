import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { Realisations } from "../../../../src/engine/derivation/output-paths.ts";
import type { BuildEnd, EngineEvent, GoalResult } from "../../../../src/engine/events/event.ts";
import { type ClaimId, type GoalId, LOCAL_MACHINE, type MachineId } from "../../../../src/engine/events/ids.ts";
import type { StorePath } from "../../../../src/engine/formats/store-path.ts";
import { readJournal } from "../../../../src/engine/memory/journal.ts";
import { type JournalRecord, printRecord, type RunGoals } from "../../../../src/engine/memory/records/record.ts";
import {
  RunJournal,
  type RunJournalOptions,
  takeBackUnverified,
} from "../../../../src/engine/run/listeners/run-journal.ts";
import type { RunPlan } from "../../../../src/engine/run/plan-run.ts";
import type { OpenedDestination } from "../../../../src/engine/stores/open/open-destination.ts";
import { createFakeClock } from "../../../support/fake-clock.ts";
import { FakeStore } from "../../../support/fake-store.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";
import { sampleDerivation } from "../../derivation/samples.ts";

const base = temporaryDirectory("run-journal");
let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(base, "each-"));
});

const drv = (name: string) => `/nix/store/${"0".repeat(32)}-${name}.drv` as StorePath;
const goal = (name: string) => drv(name) as string as GoalId;
const GOALS: RunGoals = { store: "auto", targets: [`${drv("a")}^*`], isCheck: false };

/** The journal of a run whose process is gone: of another boot. */
function deadRun(n: number, goals: RunGoals, ...records: JournalRecord[]): string {
  mkdirSync(join(directory, "runs"), { recursive: true });
  const start: JournalRecord = { type: "runStarted", at: 0, runId: `dead${n}`, goals, builds: 5 };
  const file = join(directory, "runs", `run-ffffffff-1-1-${n}.jsonl`);
  writeFileSync(file, [start, ...records].map(printRecord).join(""));
  return file;
}

function sent(name: string, machine: string, rounds = 1): JournalRecord {
  return {
    ...{ type: "buildSent", at: 1, claim: `old-${name}` as ClaimId, goal: goal(name), machine: machine as MachineId },
    ...{ round: 1, rounds, attempt: 1, isCheck: false },
  };
}

const assigned = (name: string, machine = "itchy"): EngineEvent => ({
  ...{ type: "buildAssigned", claim: name as ClaimId, goal: goal(name), machine: machine as MachineId, slot: 0 },
  ...{ attempt: 1, round: 1, rounds: 1, isCheck: false, expectedMs: null, explanation: "" },
});
const ended = (name: string, result: BuildEnd): EngineEvent => ({
  ...{ type: "buildEnded", claim: name as ClaimId, durationMs: 1, result },
});
const finished = (name: string, result: GoalResult): EngineEvent => ({
  ...{ type: "goalFinished", goal: goal(name), result },
});

function rig(changes: Partial<RunJournalOptions> = {}) {
  const notices: { level: string; code: string; message: string }[] = [];
  const journal = new RunJournal({
    ...{ directory, runId: "new", store: "auto", isCheck: false, clock: createFakeClock(1000) },
    targets: [{ type: "built", drvPath: drv("a"), outputs: "all" }],
    publish: (event) => {
      if (event.type === "noticeRaised") notices.push({ level: event.level, code: event.code, message: event.message });
    },
    ...changes,
  });
  return { journal, notices };
}

/** The files of the folder. */
const files = (): string[] => readdirSync(join(directory, "runs"));
/** What is in the only one. */
function onDisk(): readonly JournalRecord[] {
  const [file, ...more] = files();
  expect(more).toEqual([]);
  return readJournal(join(directory, "runs", file!)).records;
}
const types = (): string[] => onDisk().map((record) => record.type);

describe("what an earlier run left", () => {
  it("is taken over, said, and carried on in the new run's file, the old one being removed", () => {
    const failed: JournalRecord = {
      ...{ type: "buildEnded", at: 2, claim: "old-c" as ClaimId, result: "machineryFailed", message: "disk full" },
    };
    const builtThere: JournalRecord = {
      ...{ type: "buildEnded", at: 2, claim: "old-a" as ClaimId, result: "built", message: "" },
    };
    deadRun(
      ...([1, GOALS, sent("a", "itchy"), builtThere, sent("b", LOCAL_MACHINE), sent("c", "itchy"), failed] as const),
      sent("gone", "itchy"),
    );
    const { journal, notices } = rig();
    // The last one is not wanted any more.
    expect(journal.begin([goal("a"), goal("b"), goal("c")])).toEqual(
      new Map([
        [goal("a"), { machine: "itchy", isBuilt: true, failures: [] }],
        // What ran here died with the program: there is nothing to look for.
        [goal("b"), { machine: null, isBuilt: false, failures: [] }],
        [goal("c"), { machine: null, isBuilt: false, failures: ["itchy: disk full"] }],
      ]),
    );
    expect(notices).toMatchObject([{ level: "info", code: "RUN_CONTINUED" }]);
    expect(notices[0]!.message).toMatch(
      /^continuing a run interrupted at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d: 2 of 5 done, 1 was on builders, 1 was being built here$/,
    );
    const [start, ...carried] = onDisk();
    // The number of builds is the first run's, so that a third one can say how many are done.
    expect(start).toEqual({ type: "runStarted", at: 1000, runId: "new", goals: GOALS, builds: 5 });
    expect(carried).toMatchObject([
      { type: "carried", build: { goal: goal("a"), machine: "itchy", isBuilt: true } },
      { type: "carried", build: { goal: goal("b"), machine: LOCAL_MACHINE } },
      { type: "carried", build: { goal: goal("c"), failures: ["itchy: disk full"] } },
    ]);
  });

  it("is left alone when it is of another store, other targets, or a check", () => {
    deadRun(1, { ...GOALS, store: "/other" }, sent("a", "itchy"));
    deadRun(2, { ...GOALS, targets: [`${drv("a")}^out`] }, sent("a", "itchy"));
    deadRun(3, { ...GOALS, isCheck: true }, sent("a", "itchy"));
    const before = files();
    const { journal, notices } = rig();
    expect(journal.begin([goal("a")])).toEqual(new Map());
    expect(notices).toEqual([]);
    expect(files()).toEqual(expect.arrayContaining(before));
    expect(files()).toHaveLength(4);
  });

  it("is of the same targets in whatever order and however often they are named", () => {
    const opaque = drv("b");
    const targets = [`${drv("a")}^dev,out`, opaque].sort();
    deadRun(1, { ...GOALS, targets }, sent("a", "itchy"));
    const { journal } = rig({
      targets: [
        { type: "opaque", path: opaque },
        { type: "built", drvPath: drv("a"), outputs: ["out", "dev"] },
        { type: "opaque", path: opaque },
      ],
    });
    expect([...journal.begin([goal("a")]).keys()]).toEqual([goal("a")]);
  });

  it("is said to have been stopped when it ended in an orderly way", () => {
    deadRun(1, GOALS, sent("a", "itchy"), { type: "runFinished", at: 3, exitStatus: 130 });
    const { journal, notices } = rig();
    journal.begin([goal("a")]);
    expect(notices[0]!.message).toContain("continuing a run stopped at");
  });

  it("is not said when nothing is left to build", () => {
    deadRun(1, GOALS, sent("a", "itchy"));
    const { journal, notices } = rig();
    expect(journal.begin([])).toEqual(new Map());
    expect(notices).toEqual([]);
  });

  it("is said when a part is damaged, and how many more there are", () => {
    const file = deadRun(1, GOALS, sent("a", "itchy"));
    const bad = printRecord({ ...sent("b", "itchy"), round: -1 } as JournalRecord);
    writeFileSync(file, bad.repeat(2), { flag: "a" });
    const { journal, notices } = rig();
    expect([...journal.begin([goal("a"), goal("b")]).keys()]).toEqual([goal("a")]);
    expect(notices.map(({ level, code }) => [level, code])).toEqual([
      ["warning", "JOURNAL_DAMAGED"],
      ["info", "RUN_CONTINUED"],
    ]);
    expect(notices[0]!.message).toContain("line 3, 'round' and 1 more");
  });

  it("is still there for the next run when this one never begins", () => {
    deadRun(1, GOALS, sent("a", "itchy"));
    rig();
    expect(types()).toEqual(["runStarted", "buildSent"]);
  });
});

describe("a run's journal", () => {
  it("has on disk what an event says before whoever hears it next can act on it", () => {
    const { journal } = rig();
    // What comes before the run begins is not for it.
    journal.hear(assigned("early"));
    journal.begin([goal("a")]);
    expect(types()).toEqual(["runStarted"]);
    journal.hear(assigned("a"));
    expect(onDisk()[1]).toMatchObject({ type: "buildSent", at: 1000, claim: "a", machine: "itchy" });
    journal.hear(ended("a", { type: "failed", kind: "machinery", message: "disk full" }));
    expect(onDisk()[2]).toMatchObject({ type: "buildEnded", result: "machineryFailed", message: "disk full" });
    journal.hear(finished("a", { type: "cancelled", reason: "" }));
    expect(onDisk()[3]).toMatchObject({ type: "goalFinished", goal: goal("a"), result: "cancelled" });
    // Nothing was sent anywhere for this one, so there is nothing to forget.
    journal.hear(finished("b", { type: "alreadyValid", outputs: [] }));
    journal.hear({ type: "runStageChanged", stage: "planning", detail: "" });
    expect(types()).toEqual(["runStarted", "buildSent", "buildEnded", "goalFinished"]);
  });

  it("is removed at the end of a run that left nothing anywhere", () => {
    const { journal } = rig();
    journal.begin([goal("a")]);
    journal.hear(assigned("a"));
    journal.hear(ended("a", { type: "built" }));
    journal.hear(finished("a", { type: "alreadyValid", outputs: [] }));
    journal.end(0);
    expect(files()).toEqual([]);
  });

  it("stays with the exit status when outputs lie built elsewhere, and nothing is heard any more", () => {
    const { journal, notices } = rig();
    journal.begin([goal("a")]);
    journal.hear(assigned("a"));
    journal.hear(ended("a", { type: "built" }));
    journal.hear(finished("a", { type: "cancelled", reason: "the user left" }));
    journal.end(130);
    journal.hear(assigned("b"));
    journal.end(0);
    expect(onDisk().at(-1)).toEqual({ type: "runFinished", at: 1000, exitStatus: 130 });
    expect(notices).toEqual([]);
  });

  it("stays when what an earlier run left has not been finished", () => {
    deadRun(1, GOALS, sent("a", "itchy"));
    const { journal } = rig();
    journal.begin([goal("a")]);
    journal.end(130);
    expect(types()).toEqual(["runStarted", "carried", "runFinished"]);
  });

  it("is begun where those are cleared away that nobody has continued for long", () => {
    deadRun(1, { ...GOALS, store: "/other" });
    const { journal } = rig({ clock: createFakeClock(Date.now() + 31 * 24 * 3600 * 1000) });
    journal.begin([goal("a")]);
    expect(onDisk()).toMatchObject([{ runId: "new" }]);
  });

  it("in a place that cannot be written is a warning, and the run goes on with what an earlier one left", () => {
    deadRun(1, GOALS, sent("a", "itchy"));
    const { journal, notices } = rig();
    // Its folder is replaced by a file between the two.
    rmSync(join(directory, "runs"), { recursive: true });
    writeFileSync(join(directory, "runs"), "");
    expect([...journal.begin([goal("a")]).keys()]).toEqual([goal("a")]);
    expect(notices.map(({ level, code }) => [level, code])).toEqual([
      ["warning", "JOURNAL_UNWRITABLE"],
      ["info", "RUN_CONTINUED"],
    ]);
    journal.hear(assigned("a"));
    journal.end(0);
    expect(notices).toHaveLength(2);
  });

  it.runIf(existsSync("/dev/full"))("on a disk that fills up is given up with one warning, and kept", () => {
    const { journal, notices } = rig();
    journal.begin([goal("a")]);
    journal.hear(assigned("a"));
    fillUp(join(directory, "runs", files()[0]!));
    journal.hear(assigned("b"));
    journal.hear(assigned("c"));
    journal.end(0);
    expect(notices.map(({ level, code }) => [level, code])).toEqual([["warning", "JOURNAL_UNWRITABLE"]]);
    expect(types()).toEqual(["runStarted", "buildSent"]);
  });
});

describe("outputs that were never compared", () => {
  const derivation = sampleDerivation("a");
  const out = `/nix/store/${"1".repeat(32)}-a` as StorePath;
  const plan = {
    realisations: new Realisations(
      new Map([[drv("a"), { ...derivation, outputs: new Map([["out", { type: "inputAddressed", path: out }]]) }]]),
    ),
  } as RunPlan;

  async function takeBack(store: FakeStore, rounds = 2) {
    deadRun(1, GOALS, sent("a", LOCAL_MACHINE, rounds));
    const events: EngineEvent[] = [];
    const destination = { store, root: null } as unknown as OpenedDestination;
    const isChanged = await takeBackUnverified(rig().journal, plan, destination, (event) => events.push(event));
    return { isChanged, events };
  }

  /** Deletes what nothing keeps alive, and else only when told not to look. */
  class Rooted extends FakeStore {
    override async deletePaths(paths: readonly StorePath[], ignoreLiveness = false): Promise<bigint> {
      if (!ignoreLiveness) throw new Error("it is alive");
      return super.deletePaths(paths);
    }
  }

  it("are deleted whatever keeps them alive, after which the plan is made again", async () => {
    const store = new Rooted("destination").put(out, "first round");
    expect(await takeBack(store)).toEqual({ isChanged: true, events: [] });
    expect(store.calls).toEqual(["delete a"]);
  });

  it("are not those of builds that were to be made once", async () => {
    const store = new Rooted("destination").put(out, "the only round");
    expect(await takeBack(store, 1)).toEqual({ isChanged: false, events: [] });
    expect(store.calls).toEqual([]);
  });

  it("that are not there change nothing", async () => {
    const store = new FakeStore("destination");
    expect(await takeBack(store)).toEqual({ isChanged: false, events: [] });
    expect(store.calls).toEqual([]);
  });

  it("that cannot be deleted are said, with what compares them", async () => {
    class Kept extends FakeStore {
      override async deletePaths(): Promise<bigint> {
        throw new Error("it is alive");
      }
    }
    const { isChanged, events } = await takeBack(new Kept("destination").put(out, "first round"));
    expect(isChanged).toBe(false);
    expect(events).toMatchObject([{ level: "warning", code: "OUTPUTS_NOT_TAKEN_BACK", goal: goal("a") }]);
    expect(events[0]).toMatchObject({
      message: "outputs that were never compared stay valid: it is alive",
      hint: `compare them with: tsbuild-top --check '${drv("a")}^*'`,
    });
  });
});

/** Lets every further write of this process to the file fail, as on a full disk. */
function fillUp(file: string): void {
  const isIt = (fd: string): boolean => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === file;
    } catch {
      return false;
    }
  };
  const wanted = Number(readdirSync("/proc/self/fd").find(isIt));
  closeSync(wanted);
  // The lowest free number is given first.
  const others: number[] = [];
  for (let fd = openSync("/dev/full", "w"); fd !== wanted; fd = openSync("/dev/full", "w")) others.push(fd);
  for (const fd of others) closeSync(fd);
}
