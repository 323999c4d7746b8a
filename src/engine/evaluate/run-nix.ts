// Runs an installed Nix program: bounded output, messages passed on as they arrive, Nix's own words in the error.
import { EngineError } from "../base/errors.ts";

/** Maximum size of a program's answer in bytes; 60,000 derivation paths are 5 MB. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
/** Maximum size of the messages kept for the error, in bytes. */
const MAX_MESSAGE_BYTES = 64 * 1024;

/** An evaluator that does not exit on request is killed after this (ms). */
export const FORCE_KILL_MS = 500;

/** The surroundings of an evaluation. */
export interface NixRunContext {
  readonly cwd: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Receives the lines Nix prints beside its answer: warnings, traces, builds needed for evaluation. */
  readonly onMessage: (line: string) => void;
  readonly signal: AbortSignal | null;
}

/** Nix prints this on every run without a root; it does not concern the user of this program. */
const NOISE = "warning: you did not specify '--add-root'";

/**
 * Runs a Nix program and returns its standard output.
 * @throws EngineError `EVALUATE_NO_NIX`, `EVALUATE_FAILED` (with Nix's own message), `EVALUATE_TOO_MUCH`; the signal's reason when aborted.
 */
export async function runNix(program: string, args: readonly string[], context: NixRunContext): Promise<string> {
  context.signal?.throwIfAborted();
  // Loading execa costs more than everything else in this folder together, and not every run evaluates.
  const { execa } = await import("execa");
  const child = execa(program, args, {
    cwd: context.cwd,
    env: { ...context.environment },
    extendEnv: false,
    buffer: false,
    reject: false,
    stripFinalNewline: false,
    stdin: "ignore",
    encoding: "buffer",
    killDescendants: true,
    forceKillAfterDelay: FORCE_KILL_MS,
    ...(context.signal === null ? {} : { cancelSignal: context.signal }),
  });
  const messages = new Tail(MAX_MESSAGE_BYTES);
  const reading = readMessages(child.stderr, messages, context.onMessage);
  const answer = await readAnswer(child.stdout, () => child.kill());
  await reading;
  const result = await child;
  context.signal?.throwIfAborted();
  if (result.code === "ENOENT" && result.exitCode === undefined) throw noNix(program, result.cause);
  if (answer === null) {
    throw new EngineError(
      "config",
      "EVALUATE_TOO_MUCH",
      `${program}: expected at most ${MAX_ANSWER_BYTES} bytes of answer, found more`,
    );
  }
  if (result.failed) throw failed(program, result.exitCode ?? null, result.signal ?? null, messages.text());
  return answer.toString("utf8");
}

async function readAnswer(stream: AsyncIterable<Uint8Array>, kill: () => void): Promise<Buffer | null> {
  const chunks: Uint8Array[] = [];
  let total = 0;
  for await (const chunk of stream) {
    total += chunk.length;
    if (total > MAX_ANSWER_BYTES) kill();
    else chunks.push(chunk);
  }
  return total > MAX_ANSWER_BYTES ? null : Buffer.concat(chunks);
}

async function readMessages(
  stream: AsyncIterable<Uint8Array>,
  tail: Tail,
  onMessage: (line: string) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  const take = (line: string): void => {
    if (line.startsWith(NOISE)) return;
    tail.add(`${line}\n`);
    // The catcher reports the error, once.
    if (!tail.sawError) onMessage(line);
  };
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = (lines.pop() ?? "").slice(-MAX_MESSAGE_BYTES);
    for (const line of lines) take(line);
  }
  if (rest !== "") take(rest);
}

/** The end of the messages, or everything from Nix's first `error:` on. */
class Tail {
  sawError = false;
  readonly #max: number;
  #text = "";

  constructor(max: number) {
    this.#max = max;
  }

  add(line: string): void {
    if (/^error:/.test(line) && !this.sawError) {
      this.sawError = true;
      this.#text = "";
    }
    this.#text += line;
    // The beginning of Nix's error is the most telling part, so its end is cut.
    if (this.#text.length > this.#max)
      this.#text = this.sawError ? this.#text.slice(0, this.#max) : this.#text.slice(-this.#max);
  }

  text(): string {
    return this.#text.trimEnd();
  }
}

function failed(program: string, exitCode: number | null, signal: string | null, messages: string): EngineError {
  const ending = exitCode === null ? `was ended by ${signal ?? "a signal"}` : `failed with exit code ${exitCode}`;
  const said = messages.replace(/^error:\s*/, "");
  return new EngineError("config", "EVALUATE_FAILED", said === "" ? `${program} ${ending}` : said, {
    hint: `${program} ${ending}; --show-trace shows where the values come from`,
  });
}

function noNix(program: string, cause: unknown): EngineError {
  return new EngineError(
    "config",
    "EVALUATE_NO_NIX",
    `'${program}' not found: evaluating Nix expressions needs an installed Nix`,
    {
      hint: "install Nix, or build from '.drv' paths or a TypeScript build file, which need none",
      cause,
    },
  );
}
