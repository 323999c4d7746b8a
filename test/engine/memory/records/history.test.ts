import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openHistory } from "../../../../src/engine/memory/history-store.ts";
import { expectedDuration, median, packageName } from "../../../../src/engine/memory/records/history.ts";

describe("package names", () => {
  // builtins.parseDrvName of Nix 2.8 gives the same.
  it.each([
    ["gcc-13.2.0", "gcc"],
    ["python3.11-requests-2.31.0", "python3.11-requests"],
    ["hello", "hello"],
    ["nix-2.8pre", "nix"],
    ["bash-interactive-5.2", "bash-interactive"],
    ["-1", "-1"],
  ])("%s is %s", (name, expected) => expect(packageName(name)).toBe(expected));
});

describe("usual durations", () => {
  it("are the median of the last ten on the machine, and elsewhere scaled by speed", () => {
    const past = [
      { machine: "a", durationMs: 100, speedFactor: 1 },
      { machine: "a", durationMs: 300, speedFactor: 1 },
      { machine: "a", durationMs: 200, speedFactor: 1 },
      { machine: "b", durationMs: 50, speedFactor: 2 },
    ];
    expect(expectedDuration(past, "a", 1)).toBe(200);
    expect(expectedDuration(past, "b", 2)).toBe(50);
    expect(expectedDuration(past, "c", 2)).toBe(75);
    expect(expectedDuration([], "a", 1)).toBeNull();
    expect(median([1, 4])).toBe(2.5);
  });
});

describe("the history", () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "tsbt-history-"));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it("survives, is shared by two programs at once, and keeps the last ten of each machine", () => {
    const file = join(directory, "deep", "history.sqlite");
    const one = openHistory(file);
    const other = openHistory(file);
    for (let index = 1; index <= 15; index++) {
      const build = { name: "gcc-13.2", machine: "itchy", durationMs: index, speedFactor: 1, endedAt: index };
      (index % 2 === 0 ? one : other).record([build]);
    }
    one.close();
    other.close();
    const again = openHistory(file);
    again.load(["gcc-14.0"]);
    // Builds 6 to 15 are left.
    expect(again.expected("gcc-14.0", "itchy", 1)).toBe(10.5);
    expect(again.expected("unknown", "itchy", 1)).toBeNull();
    again.close();
  });

  it("of a newer version, or no database at all, is left alone and forgets", () => {
    const newer = join(directory, "newer.sqlite");
    const database = new DatabaseSync(newer);
    database.exec("pragma user_version = 99");
    database.close();
    const broken = join(directory, "broken.sqlite");
    writeFileSync(broken, "this is no database, and long enough to be looked at as one ".repeat(20));
    for (const file of [newer, broken]) {
      const history = openHistory(file);
      history.record([{ name: "gcc", machine: "itchy", durationMs: 1, speedFactor: 1, endedAt: 1 }]);
      history.load(["gcc"]);
      expect(history.expected("gcc", "itchy", 1)).toBeNull();
      history.close();
    }
  });
});
