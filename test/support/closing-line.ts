// Sums vitest's JSON reports into the one closing line of a test run and its exit status.
//
// usage: node closing-line.ts REPORT.json… -- FAILED-STEP…
import { existsSync, readFileSync } from "node:fs";
import { basename } from "node:path";

/** The part of vitest's JSON report that is read here. */
interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
}

/** What a run came to; `failures` and `skips` name each one. */
export interface Tally {
  readonly passed: number;
  readonly failures: readonly string[];
  readonly skips: readonly string[];
}

/**
 * Adds up one report. A file that fails without a failing test (it did not load, or its hooks failed) is one failure.
 * Null is the report of a project that wrote none: that is a failure, too.
 */
export function tally(project: string, report: Report | null): Tally {
  if (report === null) return { passed: 0, failures: [`${project}: no report`], skips: [] };
  let passed = 0;
  const failures: string[] = [];
  const skips: string[] = [];
  for (const file of report.testResults) {
    const name = file.name.replace(`${process.cwd()}/`, "");
    let failing = 0;
    for (const test of file.assertionResults) {
      if (test.status === "passed") passed += 1;
      else if (test.status === "failed") {
        failing += 1;
        failures.push(`${name}: ${test.fullName}`);
      } else skips.push(`${name}: ${test.fullName}`);
    }
    if (file.status === "failed" && failing === 0) failures.push(`${name}: could not be run`);
  }
  return { passed, failures, skips };
}

/** The lines to print, the closing one last, and the exit status. A failed step that no failed test explains counts as one failure. */
export function conclude(tallies: ReadonlyMap<string, Tally>, failedSteps: readonly string[], ci: boolean) {
  const all = [...tallies.values()];
  const unexplained = failedSteps.filter(
    (step) => (tallies.get(step.replace(/ tests$/, ""))?.failures.length ?? 0) === 0,
  );
  const failures = [...all.flatMap((each) => each.failures), ...unexplained];
  const skips = all.flatMap((each) => each.skips);
  const passed = all.reduce((sum, each) => sum + each.passed, 0);
  const lines = [
    ...failures.map((name) => `FAILED  ${name}`),
    ...skips.map((name) => `SKIPPED ${name}${ci ? " (not allowed in CI)" : ""}`),
    `${passed} passed, ${failures.length} failed, ${skips.length} skipped`,
  ];
  return { lines, status: failures.length > 0 || (ci && skips.length > 0) ? 1 : 0 };
}

if (import.meta.main) {
  const end = process.argv.indexOf("--");
  const tallies = new Map<string, Tally>();
  for (const path of process.argv.slice(2, end)) {
    const project = basename(path, ".json");
    tallies.set(project, tally(project, existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as Report) : null));
  }
  const ci = (process.env.CI ?? "") !== "" && process.env.CI !== "false";
  const { lines, status } = conclude(tallies, process.argv.slice(end + 1), ci);
  process.stdout.write(`${lines.join("\n")}\n`);
  process.exitCode = status;
}
