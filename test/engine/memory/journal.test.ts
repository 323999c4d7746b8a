import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ClaimId, GoalId, MachineId } from "../../../src/engine/events/ids.ts";
import { createJournal, readJournal, removeOld, removeRun, takeOver } from "../../../src/engine/memory/journal.ts";
import { type JournalRecord, printRecord, type RunGoals } from "../../../src/engine/memory/records/record.ts";

let directory: string;
beforeEach(() => {
  directory = join(mkdtempSync(join(tmpdir(), "tsbt-journal-")), "runs");
});
afterEach(() => rmSync(join(directory, ".."), { recursive: true, force: true }));

const goals = (store = "auto"): RunGoals => ({ store, targets: ["/nix/store/a.drv^*"], isCheck: false });
const started = (store?: string): JournalRecord => ({
  ...{ type: "runStarted", at: 0, runId: "r", goals: goals(store), builds: 3 },
});
const sent = (claim: string): JournalRecord => ({
  ...{ type: "buildSent", at: 1, claim: claim as ClaimId, goal: `/nix/store/${claim}.drv` as GoalId },
  ...{ machine: "itchy" as MachineId, round: 1, rounds: 1, attempt: 1, isCheck: false },
});

/** A run whose process is gone: of another boot. */
function deadRun(n: number, ...records: JournalRecord[]): string {
  mkdirSync(directory, { recursive: true });
  const file = join(directory, `run-ffffffff-1-1-${n}.jsonl`);
  writeFileSync(file, records.map(printRecord).join(""));
  return file;
}

const all = () => true;

describe("a journal", () => {
  it("holds what was appended as soon as append returns, for its owner alone", () => {
    const journal = createJournal(directory, [started()]);
    journal.append([sent("c1"), sent("c2")]);
    const run = readJournal(journal.file);
    expect(run).toMatchObject({ dropped: 0, builds: 3, goals: goals() });
    expect(run.records.map((record) => record.type)).toEqual(["runStarted", "buildSent", "buildSent"]);
    expect(statSync(journal.file).mode & 0o077).toBe(0);
    journal.close(false);
    expect(readdirSync(directory)).toHaveLength(1);
  });

  it("of which nothing is needed any more leaves nothing", () => {
    createJournal(directory, [started()]).close(true);
    expect(readdirSync(directory)).toEqual([]);
  });

  it("says where it cannot be written", () => {
    writeFileSync(join(directory, "..", "file"), "");
    expect(() => createJournal(join(directory, "..", "file", "runs"), [])).toThrow(
      expect.objectContaining({ code: "JOURNAL_UNWRITABLE", hint: expect.any(String) }),
    );
  });

  it("cut off at any byte loses the torn record alone", () => {
    const journal = createJournal(directory, [started()]);
    journal.append([sent("c1"), sent("c2"), sent("c3")]);
    journal.close(false);
    const whole = readFileSync(journal.file);
    const file = join(directory, "cut.jsonl");
    const head = whole.indexOf(10) + 1;
    for (let length = 0; length <= whole.length; length++) {
      writeFileSync(file, whole.subarray(0, length));
      if (length < head) {
        expect(() => readJournal(file)).toThrow(expect.objectContaining({ code: "JOURNAL_UNREADABLE" }));
        continue;
      }
      const ends = whole.subarray(0, length).filter((byte) => byte === 10).length;
      const run = readJournal(file);
      expect(run.records).toHaveLength(ends);
      expect(run.dropped).toBe(whole[length - 1] === 10 ? 0 : 1);
    }
  });

  it("skips what is damaged or newer, and counts it", () => {
    const journal = createJournal(directory, [started()]);
    appendFileSync(journal.file, 'garbage\n{"v":99,"type":"future","at":1}\n');
    journal.append([sent("c1")]);
    journal.close(false);
    expect(readJournal(journal.file)).toMatchObject({
      dropped: 2,
      records: [{ type: "runStarted" }, { type: "buildSent" }],
    });
  });
});

describe("taking over", () => {
  it("takes dead runs of the same goals, once, and no others", () => {
    expect(takeOver(directory, all)).toEqual([]);
    const living = createJournal(directory, [started()]);
    deadRun(1, started(), sent("c1"));
    deadRun(2, started("/other"), sent("c2"));
    writeFileSync(join(directory, "notes.txt"), "not ours");
    const taken = takeOver(directory, ({ store }) => store === "auto");
    expect(taken.map(({ records }) => records.length)).toEqual([2]);
    // It is ours now, whoever looks.
    expect(takeOver(directory, ({ store }) => store === "auto")).toEqual([]);
    removeRun(taken[0]!);
    expect(readdirSync(directory).sort()).toEqual(
      ["notes.txt", basename(living.file), "run-ffffffff-1-1-2.jsonl"].sort(),
    );
    living.close(true);
  });

  it("leaves what it cannot read, and takes several in the order they ended", () => {
    deadRun(1);
    writeFileSync(deadRun(2), "garbage\n");
    utimesSync(deadRun(3, started(), sent("late")), 2000, 2000);
    utimesSync(deadRun(4, started(), sent("early")), 1000, 1000);
    const claims = takeOver(directory, all).map(({ records }) =>
      records[1]?.type === "buildSent" ? records[1].claim : "",
    );
    expect(claims).toEqual(["early", "late"]);
  });

  it("removes what is old or too much, of the dead alone", () => {
    const living = createJournal(directory, [started()]);
    utimesSync(living.file, 0, 0);
    const now = 100 * 24 * 3600;
    for (let n = 0; n < 60; n++) utimesSync(deadRun(n, started()), now - n, now - n);
    utimesSync(deadRun(99, started()), now - 40 * 24 * 3600, now - 40 * 24 * 3600);
    expect(removeOld(directory, now * 1000)).toBe(11);
    const kept = readdirSync(directory);
    expect(kept).toHaveLength(51);
    expect(kept).toContain(basename(living.file));
    expect(kept).toContain("run-ffffffff-1-1-0.jsonl");
    expect(kept).not.toContain("run-ffffffff-1-1-59.jsonl");
    living.close(true);
  });

  it("finds after kill -9 what was written before", async () => {
    const script = `
      import { createJournal } from ${JSON.stringify(new URL("../../../src/engine/memory/journal.ts", import.meta.url).href)};
      const journal = createJournal(${JSON.stringify(directory)}, [${JSON.stringify(started())}]);
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
    expect(takeOver(directory, all)).toEqual([]);
    child.kill("SIGKILL");
    await once(child, "close");
    const said = Number(heard.trimEnd().split("\n").at(-1));
    const [run] = takeOver(directory, all);
    expect(run!.records.length - 1).toBeGreaterThanOrEqual(said);
  });
});
