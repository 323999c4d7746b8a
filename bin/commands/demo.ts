// `demo`: three builders on this machine, a run of builds on them, and whether it came out as designed.
import { type Surroundings, startDemo } from "../../src/engine/index.ts";
import type { DemoInvocation } from "../invocation.ts";
import { showRun } from "../show-run.ts";

/** Status of a run the user has stopped. */
const INTERRUPTED = 130;

/** Runs the demo; 0 when it came out as designed, 130 when it was stopped, else 1. @throws EngineError when it cannot start */
export async function demoCommand(invocation: DemoInvocation, surroundings: Surroundings): Promise<number> {
  const demo = await startDemo(surroundings);
  try {
    const onEvents: Parameters<typeof showRun>[3]["onEvents"] = (events) => {
      for (const { event } of events) demo.judge.accept(event);
    };
    const { outcome, exitStatus } = await showRun(demo.request, invocation, demo.surroundings, {
      printOutPaths: false,
      onEvents,
    });
    if (outcome.interrupted || exitStatus > 128) return exitStatus > 128 ? exitStatus : INTERRUPTED;
    const { asDesigned, lines } = demo.judge.report(demo.builders);
    const stream = asDesigned && !invocation.json ? process.stdout : process.stderr;
    stream.write(`demo ${lines.join("\n")}\n`);
    return asDesigned ? 0 : 1;
  } finally {
    await demo.close();
  }
}
