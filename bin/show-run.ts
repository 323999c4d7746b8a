// One run of builds and one way of showing it, tied together; signals go to both.
import type {
  BuildRunRequest,
  CreatedBuildRun,
  PublishedEvent,
  RunOutcome,
  Surroundings,
} from "../src/engine/index.ts";
import { createBuildRun, EngineError, findProgram, type RequestId, systemClock } from "../src/engine/index.ts";
import { type ChooseInput, chooseRenderer, createRenderer, type Renderer, type RendererKind } from "../src/ui/index.ts";
import type { CommonFlags, ShowFlags } from "./invocation.ts";
import { openRecorder } from "./recorder.ts";

/** What is to be built; whether it waits after a failure depends on how it is shown. */
type ShownRequest = Omit<BuildRunRequest, "holdWhenFailed">;

/** How a run that was shown ended. */
export interface ShownRun {
  readonly outcome: RunOutcome;
  /** The outcome's, or that of the signal which ended the run. */
  readonly exitStatus: number;
  readonly kind: RendererKind;
  readonly results: CreatedBuildRun["run"]["results"];
}

/** What a command adds to showing a run. */
export interface ShowRunOptions {
  readonly printOutPaths: boolean;
  /** Hears every event beside the renderer. */
  readonly onEvents: (events: readonly PublishedEvent[]) => void;
}

/** Makes the run, shows it until its end and resolves with the outcome. @throws EngineError before anything is shown */
export async function showRun(
  request: ShownRequest,
  flags: CommonFlags & ShowFlags,
  surroundings: Surroundings,
  options: ShowRunOptions,
): Promise<ShownRun> {
  const kind = choose(flags, surroundings);
  const holdWhenFailed = kind.kind === "board";
  const { run, config } = await createBuildRun({ ...request, holdWhenFailed }, surroundings);
  let requests = 0;
  const renderer = await createRenderer(kind, {
    stdout: process.stdout,
    stderr: process.stderr,
    stdin: process.stdin,
    env: surroundings.environment,
    clock: systemClock,
    options: {
      printBuildLogs: config.settings.printBuildLogs ?? flags.logFormat?.endsWith("-with-logs") === true,
      logLines: config.settings.logLines,
      logCommand: await logCommand(config.settings.store, surroundings),
      verbosity: flags.verbosity,
      explain: flags.explain,
      ascii: false,
      printOutPaths: options.printOutPaths,
    },
    send: (asked) => run.request({ ...asked, id: `r${++requests}` as RequestId }),
    outputClosed: () => undefined,
    replay: null,
  });
  const recorder = openRecorder(flags.record, surroundings.program);
  const stopListening = run.events.listen((events) => {
    recorder.accept(events);
    options.onEvents(events);
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
    return { outcome, exitStatus: signals.received() ?? outcome.exitStatus, kind, results: run.results };
  } finally {
    signals.stop();
    stopListening();
    renderer.restore();
  }
}

/** Nix reads the logs of its own store only, and only where it is installed; ours finds them in either case. */
async function logCommand(store: string, { environment }: Surroundings): Promise<string> {
  const isNixs = store === "auto" || store === "daemon" || store.startsWith("unix:");
  if (isNixs && (await findProgram("nix", environment)) !== null) return "nix log";
  return store === "auto" ? "tsbuild-top log" : `tsbuild-top log --store ${store}`;
}

function choose(flags: CommonFlags & ShowFlags, surroundings: Surroundings): RendererKind {
  const input: ChooseInput = {
    ui: flags.ui === "auto" ? formatOf(flags) : flags.ui,
    stdinIsTTY: process.stdin.isTTY === true,
    stdoutIsTTY: process.stdout.isTTY === true,
    stderrIsTTY: process.stderr.isTTY === true,
    env: surroundings.environment,
  };
  const choice = chooseRenderer(input);
  if ("error" in choice) throw new EngineError("usage", "UI_NOT_POSSIBLE", choice.error, { hint: choice.hint });
  return choice;
}

/** Nix's words for the same: `--log-format raw` is plain lines, `bar` the board where there can be one, `--quiet` says little. */
function formatOf(flags: CommonFlags & ShowFlags): ChooseInput["ui"] {
  if (flags.verbosity < 0 && flags.logFormat === null) return "quiet";
  switch (flags.logFormat) {
    case "internal-json":
      return "internal-json";
    case "raw":
    case "raw-with-logs":
      return "plain";
    default:
      return "auto";
  }
}

/** Ctrl-C asks, twice insists; SIGTERM and SIGHUP cancel at once. */
function listenToSignals(renderer: Renderer, cancel: () => void): { received(): number | null; stop(): void } {
  let received: number | null = null;
  const onInterrupt = (): void => renderer.interrupt();
  const end = (signal: number): void => {
    received = 128 + signal;
    cancel();
    renderer.leave();
  };
  const onTerminate = (): void => end(15);
  const onHangUp = (): void => end(1);
  process.on("SIGINT", onInterrupt).on("SIGTERM", onTerminate).on("SIGHUP", onHangUp);
  return {
    received: () => received,
    stop: () => {
      process.off("SIGINT", onInterrupt).off("SIGTERM", onTerminate).off("SIGHUP", onHangUp);
    },
  };
}
