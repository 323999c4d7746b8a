// The program's `build` with every machine some milliseconds away, each way: `node delayed-build.ts MS FILE ATTRIBUTE MACHINES`.
//
// It runs the compiled program, which reaches machines through a wrapped opener. Prints the run's outcome as JSON.

import type { systemClock as SystemClock } from "../../../src/engine/base/clock.ts";
import type { createBuildRun as CreateBuildRun } from "../../../src/engine/run/create-build-run.ts";
import { delayedOpener } from "../../support/delay.ts";

const built = (module: string): string => new URL(`../../../dist/src/engine/${module}.js`, import.meta.url).href;
const { createBuildRun } = (await import(built("run/create-build-run"))) as { createBuildRun: typeof CreateBuildRun };
const { systemClock } = (await import(built("base/clock"))) as { systemClock: typeof SystemClock };

const [delay = "0", file = "", attribute = "", machines = ""] = process.argv.slice(2);
const request = {
  settingsOverrides: new Map([
    ["max-jobs", "0"],
    ["builders", machines],
  ]),
  installables: { file, expression: null, attributes: [attribute], words: [] },
  evaluation: { arguments: [], lookupPath: [], showTrace: false, flakeFlags: [] },
  check: "no",
  diffoscope: false,
  outLink: null,
  dryRun: false,
  profile: null,
  holdWhenFailed: false,
  uploadTo: null,
} as const;
const surroundings = { environment: process.env, cwd: process.cwd(), program: "benchmark" };
const speed = { delayMs: Number(delay), bytesPerSecond: null };
const { run } = createBuildRun(request, surroundings, systemClock, (opener) =>
  delayedOpener(opener, systemClock, speed),
);
const outcome = await run.run();
process.stdout.write(`${JSON.stringify(outcome)}\n`);
process.exit(outcome.exitStatus);
