import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ClaimId, GoalId, MachineId } from "../../../src/engine/events/ids.ts";
import {
  createJournal,
  isAlive,
  listRuns,
  ownerOf,
  readJournal,
  removeFinished,
  removeRun,
} from "../../../src/engine/journal/journal.ts";
import { type JournalRecord, printRecord, unfinishedBuilds } from "../../../src/engine/journal/record.ts";

let directory: string;
beforeEach(() => {
  directory = join(mkdtempSync(join(tmpdir(), "tsbt-journal-")), "runs");
});
afterEach(() => rmSync(join(directory, ".."), { recursive: true, force: true }));

const sent = (claim: string): JournalRecord => ({
  type: "buildSent",
  at: 1,
  claim: claim as ClaimId,
  goal: `/nix/store/${claim}.drv` as GoalId,
  machine: "itchy" as MachineId,
  round: 1,
  attempt: 1,
});
const finished: JournalRecord = { type: "runFinished", at: 9, exitStatus: 0 };
const start = (runId: string) => createJournal({ directory, runId, at: 0, targets: ["/nix/store/a.drv"] });

/** A run whose process is gone. */
function deadRun(runId: string, ...records: JournalRecord[]): string {
  const owner = { pid: 1, bootId: "of another boot", startTime: "1" };
  const file = join(directory, `${runId}.jsonl`);
  const all: JournalRecord[] = [{ type: "runStarted", at: 0, runId, owner, targets: [] }, ...records];
  writeFileSync(file, all.map(printRecord).join(""));
  return file;
}

describe("a journal", () => {
  it("holds what was appended as soon as append returns, for its owner alone", () => {
    const journal = start("r1");
    journal.append([sent("c1"), sent("c2")]);
    const run = readJournal(journal.file);
    expect(run).toMatchObject({ runId: "r1", state: "running", dropped: 0 });
    expect(run.records.map((record) => record.type)).toEqual(["runStarted", "buildSent", "buildSent"]);
    expect(statSync(journal.file).mode & 0o077).toBe(0);
    journal.append([finished]);
    journal.close();
    expect(readJournal(journal.file).state).toBe("finished");
  });

  it("is made once: two runs never write the same", () => {
    start("r1").close();
    expect(() => start("r1")).toThrow(expect.objectContaining({ code: "JOURNAL_UNWRITABLE" }));
    expect(() => start("../r1")).toThrow(expect.objectContaining({ code: "JOURNAL_BAD_ID" }));
  });

  it("says where it cannot be written", () => {
    writeFileSync(join(directory, "..", "file"), "");
    const options = { directory: join(directory, "..", "file", "runs"), runId: "r", at: 0, targets: [] };
    expect(() => createJournal(options)).toThrow(
      expect.objectContaining({ code: "JOURNAL_UNWRITABLE", hint: expect.any(String) }),
    );
  });

  it("cut off at any byte loses the torn record alone", () => {
    const journal = start("r1");
    journal.append([sent("c1"), sent("c2"), sent("c3")]);
    journal.close();
    const whole = readFileSync(journal.file);
    const file = join(directory, "cut.jsonl");
    for (let length = 0; length <= whole.length; length++) {
      writeFileSync(file, whole.subarray(0, length));
      const ends = whole.subarray(0, length).filter((byte) => byte === 10).length;
      const run = readJournal(file);
      expect(run.records).toHaveLength(ends);
      expect(run.dropped).toBe(length > 0 && whole[length - 1] !== 10 ? 1 : 0);
    }
  });

  it("skips what is damaged or newer, and counts it", () => {
    const journal = start("r1");
    appendFileSync(journal.file, 'garbage\n{"v":99,"type":"future","at":1}\n');
    journal.append([sent("c1")]);
    journal.close();
    expect(readJournal(journal.file)).toMatchObject({
      dropped: 2,
      records: [{ type: "runStarted" }, { type: "buildSent" }],
    });
  });

  it("that cannot be read says so", () => {
    expect(() => readJournal(join(directory, "none.jsonl"))).toThrow(
      expect.objectContaining({ code: "JOURNAL_UNREADABLE" }),
    );
  });
});

describe("runs side by side", () => {
  it("are told by whether their processes live", () => {
    expect(listRuns(directory)).toEqual([]);
    start("mine").close();
    deadRun("dead", sent("c1"));
    deadRun("done", finished);
    writeFileSync(join(directory, "notes.txt"), "not ours");
    const states = Object.fromEntries(listRuns(directory).map((run) => [run.runId, run.state]));
    expect(states).toEqual({ mine: "running", dead: "interrupted", done: "finished" });
    const dead = listRuns(directory).find((run) => run.runId === "dead")!;
    expect([...unfinishedBuilds(dead.records).keys()]).toEqual(["/nix/store/c1.drv"]);
    removeRun(dead);
    removeRun(dead);
    expect(
      listRuns(directory)
        .map((run) => run.runId)
        .sort(),
    ).toEqual(["done", "mine"]);
  });

  it("finished ones are removed but the newest; interrupted ones stay", () => {
    start("mine").close();
    deadRun("dead");
    for (let index = 0; index < 5; index++) utimesSync(deadRun(`done${index}`, finished), index, index);
    expect(removeFinished(directory, 2)).toBe(3);
    expect(readdirSync(directory).sort()).toEqual(["dead.jsonl", "done3.jsonl", "done4.jsonl", "mine.jsonl"]);
  });

  it("an unreadable one hides no other", () => {
    start("mine").close();
    const file = deadRun("secret");
    chmodSync(file, 0);
    expect(listRuns(directory).map((run) => run.runId)).toContain("mine");
  });
});

describe("the owner of a run", () => {
  it("is this process, and no later one with its number", () => {
    const owner = ownerOf(process.pid);
    expect(isAlive(owner)).toBe(true);
    expect(isAlive({ ...owner, startTime: `${owner.startTime}0` })).toBe(false);
    expect(isAlive({ ...owner, bootId: "another" })).toBe(false);
  });

  it("is gone after kill -9, and what it wrote before is there", async () => {
    const script = `
      import { createJournal } from ${JSON.stringify(new URL("../../../src/engine/journal/journal.ts", import.meta.url).href)};
      const journal = createJournal({ directory: ${JSON.stringify(directory)}, runId: "victim", at: 0, targets: [] });
      let count = 0;
      const go = () => { journal.append([${JSON.stringify(sent("cN"))}].map((record) => ({ ...record, claim: "c" + ++count }))); process.stdout.write(count + "\\n"); setImmediate(go); };
      go();`;
    const child: ChildProcess = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let heard = "";
    child.stdout!.on("data", (bytes: Buffer) => {
      heard += bytes.toString();
    });
    while (heard.split("\n").length < 6) await once(child.stdout!, "data");
    expect(readJournal(join(directory, "victim.jsonl")).state).toBe("running");
    child.kill("SIGKILL");
    await once(child, "close");
    const said = Number(heard.trimEnd().split("\n").at(-1));
    const run = readJournal(join(directory, "victim.jsonl"));
    expect(run.state).toBe("interrupted");
    expect(run.records.length - 1).toBeGreaterThanOrEqual(said);
  });
});
