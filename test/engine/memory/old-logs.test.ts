import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { removeOldLogs } from "../../../src/engine/memory/old-logs.ts";
import { printOwner, thisProcess } from "../../../src/engine/memory/owner.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tsbt-logs-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

it("logs are removed when they are old, or of too many runs", async () => {
  const now = 100 * 24 * 3600;
  const run = (name: string, age: number) => {
    mkdirSync(join(directory, name));
    writeFileSync(join(directory, name, "a.log"), "hello");
    utimesSync(join(directory, name), now - age, now - age);
  };
  for (let n = 0; n < 202; n++) run(`run${n}`, n);
  run("ancient", 31 * 24 * 3600);
  expect(await removeOldLogs(directory, now * 1000)).toBe(3);
  const kept = readdirSync(directory);
  expect(kept).toHaveLength(200);
  expect(kept).not.toContain("run200");
  expect(kept).not.toContain("ancient");
  expect(await removeOldLogs(join(directory, "none"), now)).toBe(0);
});

it("logs of a run that goes on are not removed, whatever their age", async () => {
  const mark = (name: string, owner: string) => {
    mkdirSync(join(directory, name));
    writeFileSync(join(directory, name, ".owner"), owner);
    utimesSync(join(directory, name), 0, 0);
  };
  mark("goes-on", printOwner(thisProcess()));
  mark("of-another-boot", printOwner({ ...thisProcess(), boot: "0badb007" }));
  mark("of-another-process", printOwner({ ...thisProcess(), start: "1" }));
  mark("of-nobody", "what");
  expect(await removeOldLogs(directory, Date.now())).toBe(3);
  expect(readdirSync(directory)).toEqual(["goes-on"]);
});
