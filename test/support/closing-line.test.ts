// The closing line of a test run: what counts as failed or skipped, and when the run as a whole fails.
import { describe, expect, it } from "vitest";
import { conclude, tally } from "./closing-line.ts";

const report = {
  testResults: [
    {
      name: `${process.cwd()}/test/a.test.ts`,
      status: "failed",
      assertionResults: [
        { fullName: "a works", status: "passed" },
        { fullName: "a breaks", status: "failed" },
        { fullName: "a waits", status: "skipped" },
        { fullName: "a dreams", status: "todo" },
      ],
    },
    { name: "test/b.test.ts", status: "failed", assertionResults: [] },
  ],
};

describe("closing line", () => {
  it("sums projects, counting a file that does not load", () => {
    const tallies = new Map([
      ["unit", tally("unit", report)],
      ["system", tally("system", null)],
    ]);
    expect(conclude(tallies, ["lint", "unit tests", "system tests"], false)).toEqual({
      status: 1,
      lines: [
        "FAILED  test/a.test.ts: a breaks",
        "FAILED  test/b.test.ts: could not be run",
        "FAILED  system: no report",
        "FAILED  lint",
        "SKIPPED test/a.test.ts: a waits",
        "SKIPPED test/a.test.ts: a dreams",
        "1 passed, 4 failed, 2 skipped",
      ],
    });
  });

  it("fails on a project that fails with no test to blame", () => {
    const clean = { passed: 3, failures: [], skips: [] };
    expect(conclude(new Map([["unit", clean]]), ["unit tests"], false)).toEqual({
      status: 1,
      lines: ["FAILED  unit tests", "3 passed, 1 failed, 0 skipped"],
    });
    expect(conclude(new Map([["unit", clean]]), [], true)).toEqual({
      status: 0,
      lines: ["3 passed, 0 failed, 0 skipped"],
    });
  });

  it("allows skipping on a developer's machine only", () => {
    const tallies = new Map([["unit", { passed: 3, failures: [], skips: ["x"] }]]);
    expect(conclude(tallies, [], false).status).toBe(0);
    expect(conclude(tallies, [], true).status).toBe(1);
  });
});
