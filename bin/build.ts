// `build`: one run of builds and one way of showing it, tied together; signals go to both.
import { createBuildRun, EngineError, type RequestId, type Surroundings, systemClock } from "../src/engine/index.ts";
import { type ChooseInput, chooseRenderer, createRenderer, type Renderer, type RendererKind } from "../src/ui/index.ts";
import { printDryRun } from "./dry-run.ts";
import type { BuildInvocation } from "./invocation.ts";
import { openRecorder } from "./recorder.ts";

/** Runs the command; resolves with the exit status. @throws EngineError before anything is shown */
export async function build(invocation: BuildInvocation, surroundings: Surroundings): Promise<number> {
  const { settingsOverrides, installables, evaluation, check, outLink, dryRun } = invocation;
  const request = { settingsOverrides, installables, evaluation, check, outLink, dryRun };
  const { run, config } = await createBuildRun(request, surroundings);
  if (dryRun) return printDryRun(run, invocation);

  const kind = choose(invocation, surroundings);
  let requests = 0;
  const renderer = await createRenderer(kind, {
    stdout: process.stdout,
    stderr: process.stderr,
    stdin: process.stdin,
    env: surroundings.environment,
    clock: systemClock,
    options: {
      printBuildLogs: config.settings.printBuildLogs ?? invocation.logFormat === "bar-with-logs",
      logLines: config.settings.logLines,
      verbosity: invocation.verbosity,
      explain: invocation.explain,
      ascii: false,
      printOutPaths: true,
    },
    send: (asked) => run.request({ ...asked, id: `r${++requests}` as RequestId }),
    outputClosed: () => undefined,
    replay: null,
  });
  const recorder = openRecorder(invocation.record, surroundings.program);
  const stopListening = run.events.listen((events) => {
    recorder.accept(events);
    renderer.accept(events);
  });
  const signals = listenToSignals(renderer, () =>
    run.request({ id: `r${++requests}` as RequestId, type: "stop", how: "cancel" }),
  );
  try {
    renderer.start();
    const outcome = await run.run();
    await renderer.finish();
    await recorder.close();
    return signals.received() ?? outcome.exitStatus;
  } finally {
    signals.stop();
    stopListening();
    renderer.restore();
  }
}

function choose(invocation: BuildInvocation, surroundings: Surroundings): RendererKind {
  const input: ChooseInput = {
    ui: invocation.ui === "auto" ? formatOf(invocation) : invocation.ui,
    stdinIsTTY: process.stdin.isTTY === true,
    stdoutIsTTY: process.stdout.isTTY === true,
    stderrIsTTY: process.stderr.isTTY === true,
    env: surroundings.environment,
  };
  const choice = chooseRenderer(input);
  if ("error" in choice) throw new EngineError("usage", "UI_NOT_POSSIBLE", choice.error, { hint: choice.hint });
  return choice;
}

/** Nix's words for the same: `--log-format raw` is plain lines, `--quiet` says little. */
function formatOf(invocation: BuildInvocation): ChooseInput["ui"] {
  if (invocation.verbosity < 0) return "quiet";
  return invocation.logFormat === "raw" ? "plain" : "auto";
}

/** Ctrl-C asks, twice insists; SIGTERM and SIGHUP cancel at once. */
function listenToSignals(renderer: Renderer, cancel: () => void): { received(): number | null; stop(): void } {
  let received: number | null = null;
  const onInterrupt = (): void => renderer.interrupt();
  const onTerminate = (): void => {
    received = 128 + 15;
    cancel();
  };
  const onHangUp = (): void => {
    received = 128 + 1;
    cancel();
  };
  process.on("SIGINT", onInterrupt).on("SIGTERM", onTerminate).on("SIGHUP", onHangUp);
  return {
    received: () => received,
    stop: () => {
      process.off("SIGINT", onInterrupt).off("SIGTERM", onTerminate).off("SIGHUP", onHangUp);
    },
  };
}
