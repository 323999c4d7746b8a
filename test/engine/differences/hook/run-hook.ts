// Runs a diff hook by itself, as whichever user starts it: `run-hook.ts HOOK FIRST OTHER`; prints how it ended and what it said, as JSON.
import { systemClock } from "../../../../src/engine/base/clock.ts";
import { nixDiffHook } from "../../../../src/engine/differences/explain/diffoscope.ts";
import { runDiffHook } from "../../../../src/engine/differences/hook/diff-hook.ts";

const [, , file = "", first = "", other = ""] = process.argv;
const lines: string[] = [];
const end = await runDiffHook(
  { program: nixDiffHook(file), timeoutMs: 20_000, env: { PATH: "/usr/bin:/bin" }, user: null, clock: systemClock },
  { first, other, drvPath: "/x.drv", buildDirectory: null, logged: (more) => lines.push(...more) },
  new AbortController().signal,
);
process.stdout.write(`${JSON.stringify({ ...end, lines })}\n`);
