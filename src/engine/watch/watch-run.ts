// Watches a Nix command, or a log of one: reads its lines as they come and tells events, as a run of our own does.
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, createReadStream, openSync, readSync, statSync } from "node:fs";
import { basename } from "node:path";
import type { Readable } from "node:stream";
import type { Clock } from "../base/clock.ts";
import { EngineError, messageOf } from "../base/errors.ts";
import { parseDerivationOptions } from "../derivation/options.ts";
import { parseDerivation } from "../derivation/parse.ts";
import { createEventChannel, type EventChannel } from "../events/channel.ts";
import type { RunOutcome } from "../events/event.ts";
import { derivationNameOf, isStorePath } from "../formats/store-path.ts";
import type { History } from "../memory/history-store.ts";
import { InternalJsonParser, type InternalLine } from "../protocols/internal-json/parser.ts";
import { HumanLog } from "./translate/human.ts";
import type { KnownDerivation } from "./translate/knowledge.ts";
import { Translator } from "./translate/translator.ts";

/** What is watched. */
export type WatchSource =
  /** A command that is run; `stdout` says what becomes of what it prints. */
  | { readonly type: "command"; readonly argv: readonly [string, ...string[]]; readonly stdout: "inherit" | "kept" }
  | { readonly type: "stream"; readonly stream: Readable }
  | { readonly type: "file"; readonly path: string };

export interface WatchRunOptions {
  readonly source: WatchSource;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly clock: Clock;
  readonly runId: string;
  readonly program: string;
  /** Usual durations of past builds. */
  readonly history: History;
}

/** Nix programs that write the log we read when they are told to. */
const NIX_PROGRAMS = new Set([
  "nix",
  "nix-build",
  "nix-shell",
  "nix-env",
  "nix-store",
  "nixos-rebuild",
  "darwin-rebuild",
]);

/** A line that is no log of Nix's is shown up to here. */
const LONGEST_FOREIGN = 4096;
/** What the command prints is kept up to here, for the end. */
const MOST_KEPT = 64 * 1024 * 1024;
const MAX_DRV_BYTES = 8 * 1024 * 1024;

/** The command line with the flags that make Nix write its log for programs; unchanged where the user has chosen a format, or where it is no Nix. */
export function withLogFlags(argv: readonly [string, ...string[]]): [string, ...string[]] {
  const [program, ...args] = argv;
  if (!NIX_PROGRAMS.has(basename(program)) || args.includes("--log-format")) return [program, ...args];
  const end = args.indexOf("--");
  const at = end < 0 ? args.length : end;
  return [program, ...args.slice(0, at), "--log-format", "internal-json", "-v", ...args.slice(at)];
}

/** One command or log, watched from beginning to end. */
export class WatchRun {
  readonly events: EventChannel;
  /** What the command printed, where it was kept. */
  readonly printed: Buffer[] = [];
  readonly #options: WatchRunOptions;
  #translator: Translator | null = null;
  readonly #parser = new InternalJsonParser();
  readonly #derivations = new Map<string, KnownDerivation | null>();
  readonly #human = new HumanLog((drvPath) => this.#derivation(drvPath)?.inputs ?? []);
  readonly #stopped = new AbortController();
  #child: ChildProcess | null = null;
  #interrupts = 0;

  constructor(options: WatchRunOptions) {
    this.#options = options;
    this.events = createEventChannel(
      () => options.clock.wallTime(),
      (run) => setImmediate(run),
    );
  }

  /** Ctrl-C: the command is asked to end, and told so the second time. A log that is only read is no longer read. */
  interrupt(signal: "SIGINT" | "SIGTERM" = "SIGINT"): void {
    this.#interrupts += 1;
    if (this.#child === null) this.#stopped.abort();
    else this.#child.kill(this.#interrupts > 1 ? "SIGTERM" : signal);
  }

  /** Reads to the end. The last event is `runFinished`. @throws EngineError `WATCH_UNREADABLE`, `WATCH_COMMAND_FAILED` before anything is read */
  async run(): Promise<RunOutcome> {
    const { source, clock } = this.#options;
    const translator = this.#begin();
    let exitStatus: number | null = null;
    if (source.type === "command") exitStatus = await this.#command(source);
    else await this.#read(source.type === "stream" ? source.stream : openFile(source.path));
    for (const line of this.#parser.end()) this.#line(line);
    const isWell = exitStatus === null ? !translator.hasErrors : exitStatus === 0;
    if (isWell) for (const line of this.#human.end()) this.#line(line);
    const outcome = translator.end(exitStatus, this.#interrupts > 0, clock.wallTime());
    this.events.publish({ type: "runFinished", outcome });
    this.events.flush();
    return outcome;
  }

  /** Only now: whoever listens does so from the first event on. */
  #begin(): Translator {
    const { runId, program, history } = this.#options;
    this.#translator = new Translator({
      runId,
      program,
      publish: (event) => this.events.publish(event),
      knowledge: {
        derivation: (drvPath) => this.#derivation(drvPath),
        expectedMs: (name, machine) => {
          history.load([name]);
          return history.expected(name, machine, 1);
        },
      },
    });
    return this.#translator;
  }

  async #command({ argv, stdout }: Extract<WatchSource, { type: "command" }>): Promise<number> {
    const { environment, cwd } = this.#options;
    const [program, ...args] = withLogFlags(argv);
    // The board reads the keys: the command must not take any of them.
    const stdin = stdout === "kept" ? "ignore" : "inherit";
    const child = spawn(program, args, {
      cwd,
      env: { ...environment } as NodeJS.ProcessEnv,
      stdio: [stdin, stdout === "kept" ? "pipe" : "inherit", "pipe"],
    });
    this.#child = child;
    const ended = new Promise<number>((resolve, reject) => {
      child.on("error", (error) =>
        reject(
          new EngineError("usage", "WATCH_COMMAND_FAILED", `cannot run '${program}': ${error.message}`, {
            hint: "name a command that is installed: tsbuild-top watch -- nix build .#x",
            cause: error,
          }),
        ),
      );
      child.on("close", (code, signal) =>
        resolve(code ?? 128 + (signal === "SIGINT" ? 2 : signal === "SIGTERM" ? 15 : 9)),
      );
    });
    let kept = 0;
    child.stdout?.on("data", (chunk: Buffer) => {
      kept += chunk.length;
      if (kept <= MOST_KEPT) this.printed.push(chunk);
    });
    const [status] = await Promise.all([ended, child.stderr === null ? null : this.#read(child.stderr)]);
    return status;
  }

  async #read(stream: Readable): Promise<void> {
    const stop = (): void => {
      stream.destroy();
    };
    this.#stopped.signal.addEventListener("abort", stop, { once: true });
    try {
      for await (const chunk of stream) for (const line of this.#parser.push(chunk as Buffer)) this.#line(line);
    } catch (error) {
      if (this.#stopped.signal.aborted) return;
      throw new EngineError("usage", "WATCH_UNREADABLE", `cannot read the log: ${messageOf(error)}`, {
        hint: "name a file, or pipe a log into it: nix build … --log-format internal-json -v |& tsbuild-top watch",
        cause: error,
      });
    } finally {
      this.#stopped.signal.removeEventListener("abort", stop);
    }
  }

  #line(line: InternalLine): void {
    const at = this.#options.clock.wallTime();
    if (line.type !== "foreign") {
      this.#translator?.line(line, at);
      return;
    }
    // What was written over with a carriage return is what people saw last; a prefix may have been put before Nix's own line.
    const text = line.text.slice(0, 16 * 1024 * 1024);
    const inner = /(?:^|\r|\u001b\[[0-9;]*[A-Za-z])(@nix \{.*)$/s.exec(text)?.[1];
    if (inner !== undefined) {
      for (const own of this.#parsed(inner)) this.#translator?.line(own, at);
      return;
    }
    const seen = text.slice(text.lastIndexOf("\r", text.length - 2) + 1).slice(0, LONGEST_FOREIGN);
    const human = this.#human.line(seen);
    if (human !== null) for (const own of human) this.#translator?.line(own, at);
    else if (seen.trim() !== "") this.#translator?.line({ type: "foreign", text: seen }, at);
  }

  #parsed(text: string): InternalLine[] {
    return new InternalJsonParser().push(Buffer.from(`${text.replace(/\r$/, "")}\n`));
  }

  /** Derivations are read where they lie on this machine's disk; a log of another machine has none here. */
  #derivation(drvPath: string): KnownDerivation | null {
    const known = this.#derivations.get(drvPath);
    if (known !== undefined) return known;
    const read = readDerivation(drvPath);
    this.#derivations.set(drvPath, read);
    return read;
  }
}

function openFile(path: string): Readable {
  return createReadStream(path, { highWaterMark: 256 * 1024 });
}

function readDerivation(drvPath: string): KnownDerivation | null {
  if (!isStorePath(drvPath)) return null;
  let fd: number | null = null;
  try {
    if (statSync(drvPath).size > MAX_DRV_BYTES) return null;
    fd = openSync(drvPath, "r");
    const bytes = Buffer.alloc(statSync(drvPath).size);
    readSync(fd, bytes);
    const derivation = parseDerivation(bytes, derivationNameOf(drvPath));
    const { requiredSystemFeatures } = parseDerivationOptions(derivation);
    return {
      system: derivation.platform,
      requiredFeatures: [...requiredSystemFeatures],
      outputs: [...derivation.outputs.keys()],
      inputs: [...derivation.inputDrvs.keys()],
    };
  } catch {
    return null;
  } finally {
    if (fd !== null) closeSync(fd);
  }
}
