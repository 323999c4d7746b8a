// `watch`: shows a Nix command, or a log of one, as if the builds were our own; its exit status is the command's.
import { openSync } from "node:fs";
import { ReadStream } from "node:tty";
import { createWatchRun, EngineError, type Surroundings, systemClock } from "../../src/engine/index.ts";
import { chooseRenderer, createRenderer, DEFAULT_OPTIONS, type Renderer } from "../../src/ui/index.ts";
import type { WatchInvocation } from "../invocation.ts";
import { openRecorder } from "../recorder.ts";

/** Watches to the end. @throws EngineError before anything is shown, and for what cannot be read or run */
export async function watchCommand(invocation: WatchInvocation, surroundings: Surroundings): Promise<number> {
  const { source, settingsOverrides } = invocation;
  // A log that is piped in takes standard input; the keys come from the terminal itself then.
  const keys = source.type === "stdin" ? terminal() : process.stdin;
  const choice = chooseRenderer({
    ui: invocation.ui,
    stdinIsTTY: keys?.isTTY === true,
    stdoutIsTTY: process.stdout.isTTY === true,
    stderrIsTTY: process.stderr.isTTY === true,
    env: surroundings.environment,
  });
  if ("error" in choice) throw new EngineError("usage", "UI_NOT_POSSIBLE", choice.error, { hint: choice.hint });
  const isBoard = choice.kind === "board";
  const { run, config } = await createWatchRun(
    {
      settingsOverrides,
      source:
        source.type === "command"
          ? { ...source, stdout: isBoard ? "kept" : "inherit" }
          : source.type === "file"
            ? source
            : { type: "stream", stream: process.stdin },
    },
    surroundings,
  );
  const renderer = await createRenderer(choice, {
    stdout: process.stdout,
    stderr: process.stderr,
    stdin: keys ?? process.stdin,
    env: surroundings.environment,
    clock: systemClock,
    options: {
      ...DEFAULT_OPTIONS,
      printBuildLogs: config.settings.printBuildLogs ?? invocation.logFormat?.endsWith("-with-logs") === true,
      logLines: config.settings.logLines,
      verbosity: invocation.verbosity,
      printOutPaths: false,
    },
    send: (request) => {
      if (request.type === "stop") run.interrupt();
    },
    outputClosed: () => undefined,
    replay: null,
  });
  const recorder = openRecorder(invocation.record, surroundings.program);
  const stopListening = run.events.listen((events) => {
    recorder.accept(events);
    renderer.accept(events);
  });
  const stopSignals = listenToSignals(renderer, (signal) => run.interrupt(signal));
  let shown = false;
  try {
    renderer.start();
    const outcome = await run.run();
    await renderer.finish();
    shown = true;
    await recorder.close();
    for (const chunk of run.printed) process.stdout.write(chunk);
    return outcome.exitStatus;
  } catch (error) {
    if (!shown) renderer.restore();
    throw error;
  } finally {
    stopSignals();
    stopListening();
    renderer.restore();
    if (keys !== process.stdin) keys?.destroy();
  }
}

/** The terminal this program was started at, null where there is none. */
function terminal(): ReadStream | null {
  if (process.stdin.isTTY === true)
    throw new EngineError("usage", "WATCH_NOTHING", "expected a log on standard input, found a terminal", {
      hint: "pipe a log into it (nix build … --log-format internal-json -v |& tsbuild-top watch), or: tsbuild-top watch -- nix build …",
    });
  try {
    return new ReadStream(openSync("/dev/tty", "r"));
  } catch {
    return null;
  }
}

function listenToSignals(renderer: Renderer, end: (signal: "SIGINT" | "SIGTERM") => void): () => void {
  const onInterrupt = (): void => renderer.interrupt();
  const onTerminate = (): void => {
    end("SIGTERM");
    renderer.leave();
  };
  process.on("SIGINT", onInterrupt).on("SIGTERM", onTerminate).on("SIGHUP", onTerminate);
  return () => {
    process.off("SIGINT", onInterrupt).off("SIGTERM", onTerminate).off("SIGHUP", onTerminate);
  };
}
