// Performs one claim: gives a machine the inputs, has it build, and says what came of it. Makes no choice: what a failure means is decided
// elsewhere.
import { messageOf } from "../../base/errors.ts";
import { isSuccess } from "../../derivation/build-result.ts";
import type { PathInfo } from "../../formats/path-info.ts";
import type { StorePath } from "../../formats/store-path.ts";
import { lossOf } from "../../stores/loss.ts";
import type { BuildAnswer, BuildMode, BuildReporter, BuildRequest } from "../../stores/store.ts";
import type { StartBuild } from "../plan/command.ts";
import type { BuiltOutput, ClaimFailure } from "../plan/fact.ts";
import { blamesMachine } from "../plan/failures/classify.ts";
import type { BuildWork, BuiltClaim } from "./build-work.ts";
import { performCompared } from "./perform-compared.ts";

/** Runs a claim to its end, posting facts on the way; the last fact posted is `claimBuilt`, `claimFailed` or `claimCancelled`. */
export async function performBuild(work: BuildWork, signal: AbortSignal): Promise<"built" | "failed" | "cancelled"> {
  const { command, session, clock, post } = work;
  const claim = command.claim;
  const begunAt = clock.now();
  const heard = new Listener(work);
  let origin: ClaimFailure["origin"] = "transfer";
  try {
    if (command.isResumed && (await finishFound(work, signal))) return "built";
    const throughClosure = session.trusted === false && work.isInputAddressed;
    if (!session.isDestination) {
      post({ type: "claimStage", claim, stage: "sendingInputs" });
      const inputs = [...work.derivation.inputSrcs];
      if (throughClosure) inputs.push(work.drvPath);
      await session.provide(inputs, work.from, work.transfers, signal);
    }
    origin = "connection";
    post({ type: "claimStage", claim, stage: "building" });
    let endedAt = clock.now();
    const build = async (mode: BuildMode, isRepeated: boolean): Promise<BuildAnswer> => {
      const { options, ...rest } = requestOf(work);
      // Without trust `.check` is kept with `keep-failed` alone; as the daemon's, it would be in the way of the build that follows (Nix 2.8 deletes it).
      const keepFailed = options.keepFailed && !(isRepeated && session.trusted === false);
      const request = { ...rest, options: { ...options, keepFailed }, mode };
      const answer = throughClosure
        ? await session.store.buildFromClosure(request, heard, signal)
        : await session.store.build(request, heard, signal);
      endedAt = clock.now();
      return answer;
    };
    const done = isCompared(command)
      ? await performCompared(work, work.keeper, build, requestOf(work), heard, signal)
      : plainly(await build("normal", false));
    const durationMs = endedAt - (heard.startedAt ?? begunAt);
    await work.log.close();
    if (done.type === "built") {
      const { executed, differs, messages } = done;
      if (done.isValidThere) for (const info of done.outputs.values()) session.holds(info.path);
      const outputs = [...done.outputs].map(([name, info]) => builtOutput(name, info));
      work.built(done.outputs);
      post({ type: "claimBuilt", claim, durationMs, executed, outputs, differs, messages });
      return "built";
    }
    const seen = {
      status: done.type === "failed" ? done.status : null,
      message: done.type === "failed" ? done.message : done.reason,
      logTail: work.log.tail(),
    };
    const means = blamesMachine(seen) ? await session.askMeans(clock, signal) : NOT_ASKED;
    post({
      type: "claimFailed",
      claim,
      durationMs,
      failure: {
        origin: done.type === "failed" ? "build" : done.origin,
        ...seen,
        logFile: work.log.file(),
        keptDirectory: heard.keptDirectory,
        means,
      },
    });
    return "failed";
  } catch (error) {
    await work.log.close();
    if (signal.aborted) {
      post({ type: "claimCancelled", claim });
      return "cancelled";
    }
    post({
      type: "claimFailed",
      claim,
      durationMs: clock.now() - begunAt,
      failure: {
        origin: lossOf(error, session.isDestination) ?? origin,
        status: null,
        message: messageOf(error),
        logTail: work.log.tail(),
        logFile: work.log.file(),
        keptDirectory: heard.keptDirectory,
        means: NOT_ASKED,
      },
    });
    return "failed";
  }
}

const NOT_ASKED = { type: "notAsked" } as const;

/** Says what a machine finished for an earlier run; false when it did not, or cannot be asked before it builds. */
async function finishFound(
  { command, derivation, session, built, post }: BuildWork,
  signal: AbortSignal,
): Promise<boolean> {
  if (session.isDestination || command.compare.type !== "none" || command.round > 1) return false;
  const paths = new Map<string, StorePath>();
  for (const [name, output] of derivation.outputs) {
    if (!("path" in output)) return false;
    paths.set(name, output.path);
  }
  const valid = await session.store.lockValidPaths([...paths.values()], signal);
  if ([...paths.values()].some((path) => !valid.has(path))) return false;
  const infos = await session.store.queryPathInfos(paths.values(), signal);
  const outputs = new Map<string, PathInfo>();
  for (const [name, path] of paths) {
    const info = infos.get(path);
    if (info === undefined) return false;
    session.holds(path);
    outputs.set(name, info);
  }
  built(outputs);
  const found = [...outputs].map(([name, info]) => builtOutput(name, info));
  post({
    type: "claimBuilt",
    claim: command.claim,
    durationMs: 0,
    executed: false,
    outputs: found,
    differs: [],
    messages: [],
  });
  return true;
}

/** A check, or a round that another one was, or may have been, built before. */
function isCompared({ compare, round }: StartBuild): boolean {
  return compare.type !== "none" || round > 1;
}

/** A machine's comparison is worth nothing when it does not keep the other result until it is fetched. */
function requestOf({ command, drvPath, derivation, options }: BuildWork): Omit<BuildRequest, "mode"> {
  return { drvPath, derivation, options: { ...options, keepCheck: isCompared(command) } };
}

function plainly({ result, outputs }: BuildAnswer): BuiltClaim {
  if (!isSuccess(result.status)) return { type: "failed", status: result.status, message: result.errorMessage };
  const executed = result.status === "Built";
  return { type: "built", executed, outputs, isValidThere: true, differs: [], messages: [] };
}

function builtOutput(name: string, info: PathInfo): BuiltOutput {
  return { name, path: info.path, narHash: Buffer.from(info.narHash).toString("hex"), narSize: info.narSize };
}

/** Hears a build and passes on what it says. */
class Listener implements BuildReporter {
  startedAt: number | null = null;
  keptDirectory: string | null = null;
  #fileTold = false;
  readonly #work: BuildWork;

  constructor(work: BuildWork) {
    this.#work = work;
  }

  started(): void {
    this.startedAt ??= this.#work.clock.now();
  }

  phase(name: string): void {
    this.#work.publish({ type: "buildPhaseChanged", claim: this.#work.command.claim, phase: name });
  }

  logged(lines: readonly string[]): void {
    if (lines.length === 0) return;
    this.#work.log.append(lines);
    this.#tellFile();
    this.#work.publish({ type: "buildLogged", claim: this.#work.command.claim, lines });
  }

  #tellFile(): void {
    const file = this.#work.log.file();
    if (this.#fileTold || file === null) return;
    this.#fileTold = true;
    this.#work.publish({ type: "buildLogKept", claim: this.#work.command.claim, file });
  }

  noticed(message: string): void {
    const { command, session } = this.#work;
    // Nix 2.34 quotes paths twice.
    const kept = /keeping build directory ['"]([^'"]+)['"]/.exec(message);
    const said = /^waiting for /.test(message) ? `${session.store.uri}: ${message}` : message;
    if (kept !== null) this.keptDirectory = `${session.machine}:${kept[1]}`;
    this.#work.publish({
      type: "noticeRaised",
      cause: null,
      level: "info",
      code: kept === null ? "BUILDER_NOTICE" : "BUILD_DIRECTORY_KEPT",
      message: kept === null ? said : `note: keeping build directory '${kept[1]}' on ${session.machine}`,
      hint: null,
      machine: session.machine,
      goal: command.goal,
    });
  }
}
