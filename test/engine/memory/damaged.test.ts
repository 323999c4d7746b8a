// Journals that were damaged: what makes no sense is left out, and nothing else happens.
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EngineError } from "../../../src/engine/base/errors.ts";
import { openHistory } from "../../../src/engine/memory/history-store.ts";
import { readJournal, takeOver } from "../../../src/engine/memory/journal.ts";
import { Leftover } from "../../../src/engine/memory/records/leftover.ts";
import { mutateJson, seeded } from "../../support/mutate.ts";
import { removeDirectory, temporaryDirectory } from "../../support/temporary-directory.ts";

let directory: string;
beforeEach(() => {
  directory = temporaryDirectory("damaged");
});
afterEach(() => removeDirectory(directory));

const goals = { store: "auto", targets: ["/nix/store/a.drv^*"], isCheck: false };
const left = { goal: "g0", machine: "m", isBuilt: true, isUnverified: false, failures: ["x"] };
const sent = { type: "buildSent", at: 2, goal: "g1", machine: "m", round: 1, rounds: 2, attempt: 3, isCheck: false };
const RECORDS: readonly object[] = [
  { type: "runStarted", at: 1, runId: "r", goals, builds: 3 },
  { type: "carried", at: 1, build: left },
  { ...sent, claim: "c1" },
  { type: "buildEnded", at: 3, claim: "c1", result: "machineryFailed", message: "gone" },
  { ...sent, claim: "c2", attempt: 4, machine: "local" },
  { type: "buildEnded", at: 3, claim: "c2", result: "built", message: "" },
  { type: "goalFinished", at: 3, goal: "g1", result: "cancelled" },
  { type: "runFinished", at: 4, exitStatus: 1 },
].map((record) => ({ v: 1, ...record }));
const LINES = RECORDS.map((record) => JSON.stringify(record));
const name = `run-00000000-4194305-1-1.jsonl`;

describe("a damaged journal", () => {
  it("gives what is whole in it, or an error that names it", () => {
    const random = seeded(14);
    const file = join(directory, name);
    let [whole, refused] = [0, 0];
    for (let turn = 0; turn < 3000; turn++) {
      const at = Math.floor(random() * LINES.length);
      const line = JSON.stringify(mutateJson(RECORDS[at], random));
      writeFileSync(file, `${LINES.with(at, line).join("\n")}\n`);
      try {
        const { records, dropped } = readJournal(file);
        expect(records.length + dropped).toBe(LINES.length);
        const leftover = new Leftover();
        for (const record of records) leftover.take(record);
        expect(leftover.builds().length).toBeLessThanOrEqual(LINES.length);
        whole++;
      } catch (error) {
        if (!(error instanceof EngineError)) throw new Error(`turn ${turn}: ${line}`, { cause: error });
        expect(error.code).toBe("JOURNAL_UNREADABLE");
        refused++;
      }
    }
    expect(whole).toBeGreaterThan(2000);
    expect(refused).toBeGreaterThan(50);
  });

  it("is named, with the line and the field", () => {
    const file = join(directory, name);
    const line = JSON.stringify({ v: 1, ...sent, claim: "c1", attempt: 99_999_999_999 });
    writeFileSync(file, `${LINES.with(2, line).join("\n")}\n`);
    expect(readJournal(file).damaged).toEqual(["line 3, 'attempt'"]);
  });

  it("is not waited for where a fifo has its name", () => {
    expect(spawnSync("mkfifo", [join(directory, name)]).status).toBe(0);
    expect(takeOver(directory, () => true)).toEqual([]);
    expect(() => readJournal(join(directory, name))).toThrow("it is no regular file");
  });
});

describe("a damaged history", () => {
  it("knows nothing of what makes no sense, and stops no build", () => {
    const file = join(directory, "history.sqlite");
    const build = { name: "a-1", machine: "m", durationMs: 1000, speedFactor: 1, endedAt: 1 };
    const history = openHistory(file);
    history.record([build, { ...build, name: "b-1" }]);
    history.close();
    const database = new DatabaseSync(file);
    database.exec("update builds set durationMs = 'long' where name = 'b'");
    database.close();
    const damaged = openHistory(file);
    damaged.load(["a-1", "b-1"]);
    expect(damaged.expected("a-1", "m", 1)).toBe(1000);
    expect(damaged.expected("b-1", "m", 1)).toBeNull();
    damaged.close();
    const emptied = new DatabaseSync(file);
    emptied.exec("drop table builds");
    emptied.close();
    const empty = openHistory(file);
    empty.load(["a-1"]);
    expect(empty.expected("a-1", "m", 1)).toBeNull();
    empty.close();
  });

  it("is not waited for where a fifo has its name", () => {
    const file = join(directory, "history.sqlite");
    expect(spawnSync("mkfifo", [file]).status).toBe(0);
    const history = openHistory(file);
    history.load(["a-1"]);
    expect(history.expected("a-1", "m", 1)).toBeNull();
    history.close();
  });
});
