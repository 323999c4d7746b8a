import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { findLine } from "../../../src/ui/model/screens/select-log.ts";
import { LogFiles } from "../../../src/ui/renderers/log-files.ts";

let directory: string;
let files: LogFiles;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tsbt-logs-"));
  files = new LogFiles();
});
afterEach(() => {
  files.close();
  rmSync(directory, { recursive: true });
});

function fileOf(name: string, lines: readonly string[]): string {
  const file = join(directory, name);
  writeFileSync(file, lines.map((line) => `${line}\n`).join(""));
  return file;
}

describe("logs on disk", () => {
  it("give every line by its number, in any order", () => {
    const lines = Array.from({ length: 5000 }, (_, at) => `line ${at} ${"ä".repeat(at % 40)}`);
    const log = files.linesOf(fileOf("a", lines))!;
    for (const number of [4999, 0, 511, 512, 513, 2500, 1, 4998]) expect(log.line(number)).toBe(lines[number]);
    for (const [number, line] of lines.entries()) expect(log.line(number)).toBe(line);
    expect([log.line(5000), log.line(-1)]).toEqual([null, null]);
  });

  it("grow while they are read", () => {
    const file = fileOf("a", ["one"]);
    const log = files.linesOf(file)!;
    expect([log.line(0), log.line(1)]).toEqual(["one", null]);
    appendFileSync(file, "two\nthr");
    expect([log.line(1), log.line(2)]).toEqual(["two", null]);
    appendFileSync(file, "ee\n");
    expect([log.line(0), log.line(2)]).toEqual(["one", "three"]);
  });

  it("may have empty lines and lines of megabytes, of which the beginning is given", () => {
    const log = files.linesOf(fileOf("a", ["", "x".repeat(3 << 20), "", "last"]))!;
    expect(log.line(1)).toMatch(/^x{1000000}x*$/);
    expect([log.line(0), log.line(2), log.line(3)]).toEqual(["", "", "last"]);
  });

  it("are null where there is no file, and only so many are open at once", () => {
    expect(files.linesOf(join(directory, "none"))).toBeNull();
    const names = Array.from({ length: 12 }, (_, at) => fileOf(`${at}`, [`log ${at}`]));
    for (const [at, name] of names.entries()) expect(files.linesOf(name)!.line(0)).toBe(`log ${at}`);
    expect(files.linesOf(names[0]!)!.line(0)).toBe("log 0");
  });
});

describe("searching a log", () => {
  const lines = Array.from({ length: 1000 }, (_, at) =>
    at % 300 === 7 ? `The \x1b[31mNee\x1b[0mdle ${at}` : `hay ${at}`,
  );
  const source = { first: 0, total: lines.length, line: (number: number) => lines[number] ?? null };

  it("goes on from where it is, both ways, and round once", () => {
    expect(findLine(source, "needle", 7, 1)).toEqual({ type: "found", number: 307 });
    expect(findLine(source, "needle", 7, -1)).toEqual({ type: "found", number: 907 });
    expect(findLine(source, "NEEDLE", 907, 1)).toEqual({ type: "found", number: 7 });
    expect(findLine(source, "pin", 7, 1)).toEqual({ type: "none" });
  });

  it("stops after so many lines, and goes on from there", () => {
    expect(findLine(source, "needle", 307, 1, 100)).toEqual({ type: "stopped", number: 407 });
    expect(findLine(source, "needle", 507, 1, 100)).toEqual({ type: "found", number: 607 });
  });
});
