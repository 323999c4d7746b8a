import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { removeOldLogs } from "../../src/engine/old-logs.ts";

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
