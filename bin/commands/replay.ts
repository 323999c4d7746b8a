// `replay`: shows a recorded run again, with the same renderers that show a live one.
import {
  createReplay,
  EngineError,
  messageOf,
  parseRecording,
  readBack,
  type Surroundings,
  systemClock,
} from "../../src/engine/index.ts";
import { chooseRenderer, createRenderer, DEFAULT_OPTIONS } from "../../src/ui/index.ts";
import type { ReplayInvocation } from "../invocation.ts";

/** Largest recording that is read, in bytes: a text of JavaScript has a length, too. */
const MAX_RECORDING = 512 * 1024 * 1024 - 1024;

/** Plays the file; the exit status says whether it could be played, not how the recorded run ended. */
export async function replayCommand(invocation: ReplayInvocation, surroundings: Surroundings): Promise<number> {
  const recording = parseRecording(readLines(invocation.file), invocation.file);
  const speed = Number.isFinite(invocation.speed) ? invocation.speed : 0;
  const replay = createReplay(recording, invocation.file, speed, systemClock);
  const choice = chooseRenderer({
    ui: invocation.ui,
    stdinIsTTY: process.stdin.isTTY === true,
    stdoutIsTTY: process.stdout.isTTY === true,
    stderrIsTTY: process.stderr.isTTY === true,
    env: surroundings.environment,
  });
  if ("error" in choice) throw new EngineError("usage", "UI_NOT_POSSIBLE", choice.error, { hint: choice.hint });
  const renderer = await createRenderer(choice, {
    stdout: process.stdout,
    stderr: process.stderr,
    stdin: process.stdin,
    env: surroundings.environment,
    clock: replay.clock,
    options: { ...DEFAULT_OPTIONS, verbosity: invocation.verbosity, explain: invocation.explain },
    // A recording cannot be steered but by its own keys; Ctrl-C ends it.
    send: (request) => {
      if (request.type === "stop") replay.stop();
    },
    outputClosed: () => replay.stop(),
    replay,
  });
  const onInterrupt = (): void => replay.stop();
  process.on("SIGINT", onInterrupt).on("SIGTERM", onInterrupt);
  try {
    renderer.start();
    await replay.run((events) => renderer.accept(events));
    await renderer.finish();
    return 0;
  } finally {
    replay.stop();
    renderer.restore();
    process.off("SIGINT", onInterrupt).off("SIGTERM", onInterrupt);
  }
}

function readLines(file: string): string[] {
  try {
    return readBack(file, MAX_RECORDING).bytes.toString("utf8").split("\n");
  } catch (error) {
    throw new EngineError("usage", "RECORDING_UNREADABLE", `cannot read the recording '${file}': ${messageOf(error)}`, {
      hint: "make one with: tsbuild-top --record FILE …",
      cause: error,
    });
  }
}
