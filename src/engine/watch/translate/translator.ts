// Nix's internal-json log as events: one line in, what it means for the board out. Unknown activities, results and fields are passed over.
import { type EngineEvent, EVENTS_VERSION, type RunOutcome } from "../../events/event.ts";
import type { CopyId, HookId } from "../../events/ids.ts";
import { stripAnsi } from "../../protocols/ansi.ts";
import { hearBuild } from "../../protocols/build-log.ts";
import type { InternalLine } from "../../protocols/internal-json/parser.ts";
import { ACTIVITY, type LogField, type LogListener, RESULT } from "../../protocols/log-frame.ts";
import { Activities, type Activity } from "./activities.ts";
import { WatchedGoals } from "./goals.ts";
import type { Knowledge } from "./knowledge.ts";
import { type MessageMeaning, meaningOf } from "./messages.ts";

/** Numbers of Nix's activities that only watching looks at (logging.hh). */
const COPY_PATHS = 103;
const BUILDS = 104;

/** Messages up to this level are shown (Nix: error, warning, notice, info). */
const SHOWN_LEVEL = 3;

export interface TranslatorOptions {
  readonly runId: string;
  readonly program: string;
  readonly knowledge: Knowledge;
  readonly publish: (event: EngineEvent) => void;
}

interface Transfer {
  readonly startedAt: number;
  doneBytes: bigint;
}

/** Takes the lines of one log, in order, with the time (ms) each came at. */
export class Translator {
  readonly #publish: (event: EngineEvent) => void;
  readonly #goals: WatchedGoals;
  readonly #activities = new Activities();
  readonly #listeners = new Map<string, LogListener>();
  readonly #transfers = new Map<string, Transfer>();
  #list: "derivations" | "paths" | "unknown" | null = null;
  #listed: string[] = [];
  /** Builds that Nix has counted as failed and whose end has not come. */
  #uncounted = 0;
  #failedSoFar = 0n;
  #hasErrors = false;

  constructor({ runId, program, knowledge, publish }: TranslatorOptions) {
    this.#publish = publish;
    this.#goals = new WatchedGoals(knowledge, publish);
    publish({
      type: "runStarted",
      eventsVersion: EVENTS_VERSION,
      runId,
      program,
      store: "",
      policy: "watched",
      keepGoing: true,
      rounds: 1,
    });
    publish({ type: "runStageChanged", stage: "opening", detail: "" });
    publish({ type: "runStageChanged", stage: "evaluating", detail: "" });
  }

  /** Whether an error was reported, or a build failed. */
  get hasErrors(): boolean {
    return this.#hasErrors;
  }

  line(line: InternalLine, at: number): void {
    if (line.type !== "message") this.#endList();
    switch (line.type) {
      case "message":
        this.#message(line.text, line.level);
        return;
      case "start":
        this.#start(line, at);
        return;
      case "stop":
        this.#stop(line.id, at);
        return;
      case "result":
        this.#result(line.id, line.result, line.fields);
        return;
      case "foreign":
        this.#notice(line.text, "info", "NIX_OUTPUT");
        return;
      case "malformed":
      case "phase":
      case "unknown":
        return;
    }
  }

  /** The end of the log. `exitStatus` is null where nobody knows it: then it is 0 when everything that began ended well. */
  end(exitStatus: number | null, isInterrupted: boolean, at: number): RunOutcome {
    this.#endList();
    const isWell = exitStatus === null ? null : exitStatus === 0;
    const counts = this.#goals.end(isWell, at);
    const isBad = this.#hasErrors || counts.failed + counts.cancelled > 0;
    const status = exitStatus ?? (isBad ? 1 : 0);
    return { exitStatus: status, ...counts, outputs: [], interrupted: isInterrupted };
  }

  #message(message: string, level: number): void {
    const meaning = meaningOf(message);
    if (meaning.type === "listed" && this.#list !== null) {
      this.#listed.push(meaning.path);
      return;
    }
    this.#endList();
    if (meaning.type === "listBegins") {
      this.#list = meaning.what;
      return;
    }
    if (level === 0 && meaning.type !== "other") {
      this.#hasErrors = true;
      if (this.#isAboutGoal(meaning)) return;
    }
    if (level === 0) this.#hasErrors = true;
    const text = stripAnsi(message).trimEnd();
    if (text.trim() === "" || level > SHOWN_LEVEL) return;
    const name = level === 0 ? "error" : level === 1 ? "warning" : "info";
    this.#notice(text.replace(/^(?:error|warning): /, ""), name, "NIX_MESSAGE");
  }

  #isAboutGoal(meaning: MessageMeaning): boolean {
    switch (meaning.type) {
      case "failed":
        return this.#goals.failed(meaning.drvPath, meaning.text, meaning.exitClass);
      case "inputsFailed":
        return this.#goals.inputsFailed(meaning.drvPath, meaning.text);
      case "summary":
        return true;
      default:
        return false;
    }
  }

  #notice(message: string, level: "info" | "warning" | "error", code: string): void {
    this.#publish({
      type: "noticeRaised",
      level,
      code,
      message,
      hint: null,
      cause: null,
      machine: null,
      goal: null,
    });
  }

  /** A list is over with the first message that is not of it. */
  #endList(): void {
    if (this.#list === null) return;
    const what = this.#list;
    this.#list = null;
    const paths = this.#listed.splice(0);
    if (what !== "unknown") this.#goals.plan(paths, what === "derivations" ? "derivation" : "path");
  }

  #start(line: Extract<InternalLine, { type: "start" }>, at: number): void {
    const activity = this.#activityOf(line, at);
    this.#activities.start(line.id, activity);
  }

  #activityOf(line: Extract<InternalLine, { type: "start" }>, at: number): Activity {
    const { activity, fields, text } = line;
    const first = textOf(fields[0]) ?? "";
    switch (activity) {
      case ACTIVITY.build: {
        const drvPath = first === "" ? (/'([^']+\.drv)'/.exec(text)?.[1] ?? "") : first;
        if (drvPath === "") return { type: "other" };
        // A builder's own Nix tells of the same build once more.
        const isOwn = !this.#goals.isOpen(drvPath);
        if (isOwn) {
          const isCheck = /^checking outputs of/.test(text);
          const [round, rounds] = [Number(fields[2] ?? 1), Number(fields[3] ?? 1)];
          this.#goals.buildStarted(drvPath, textOf(fields[1]) ?? "", atLeast1(round), atLeast1(rounds), isCheck, at);
        }
        return { type: "build", drvPath, isOwn };
      }
      case ACTIVITY.substitute:
        if (first === "") return { type: "other" };
        this.#goals.fetchStarted(first, textOf(fields[1]) ?? "");
        return { type: "substitute", path: first };
      case ACTIVITY.copyPath: {
        const parent = this.#activities.find(line.parent, ({ type }) => type === "substitute");
        if (parent?.type === "substitute") return { type: "fetch", path: parent.path };
        // Nix 2.8 does not say what belongs to what.
        if (this.#goals.isFetching(first)) return { type: "fetch", path: first };
        const copy = this.#goals.copyStarted(textOf(fields[1]) ?? "", textOf(fields[2]) ?? "");
        if (copy === null) return { type: "other" };
        this.#transfers.set(copy, { startedAt: at, doneBytes: 0n });
        return { type: "copy", copy };
      }
      case ACTIVITY.fileTransfer:
        return { type: "other" };
      case ACTIVITY.postBuildHook: {
        if (first === "") return { type: "other" };
        const hook = this.#goals.hookStarted(first);
        this.#transfers.set(hook, { startedAt: at, doneBytes: 0n });
        return { type: "hook", hook };
      }
      case ACTIVITY.buildWaiting: {
        const drvPath = first.endsWith(".drv") ? first : (/'([^']+\.drv)'/.exec(text)?.[1] ?? null);
        if (drvPath !== null) this.#goals.waiting(drvPath);
        return { type: "waiting", drvPath };
      }
      case BUILDS:
        return { type: "counters", of: "builds" };
      case COPY_PATHS:
        return { type: "counters", of: "copies" };
      default:
        return { type: "other" };
    }
  }

  #stop(id: bigint, at: number): void {
    const activity = this.#activities.stop(id);
    switch (activity?.type) {
      case "build": {
        if (!activity.isOwn) return;
        const hasFailed = this.#uncounted > 0;
        if (hasFailed) {
          this.#uncounted -= 1;
          this.#hasErrors = true;
        }
        this.#listeners.delete(activity.drvPath);
        this.#goals.buildStopped(activity.drvPath, hasFailed, at);
        return;
      }
      case "substitute":
        this.#goals.fetchStopped(activity.path);
        return;
      case "copy": {
        const transfer = this.#transfers.get(activity.copy);
        this.#transfers.delete(activity.copy);
        const durationMs = at - (transfer?.startedAt ?? at);
        this.#goals.copyStopped(activity.copy as CopyId, transfer?.doneBytes ?? 0n, durationMs);
        return;
      }
      case "hook": {
        const begun = this.#transfers.get(activity.hook)?.startedAt ?? at;
        this.#transfers.delete(activity.hook);
        this.#goals.hookStopped(activity.hook as HookId, at - begun);
        return;
      }
      default:
        return;
    }
  }

  #result(id: bigint, result: number, fields: readonly LogField[]): void {
    if (result === RESULT.buildLogLine || result === RESULT.setPhase) {
      const build = this.#activities.find(id, ({ type }) => type === "build");
      if (build?.type === "build") this.#listenerOf(build.drvPath)([{ type: "result", id, result, fields }]);
      return;
    }
    if (result === RESULT.postBuildLogLine) {
      const hook = this.#activities.find(id, ({ type }) => type === "hook");
      const line = textOf(fields[0]);
      if (hook?.type === "hook" && line !== null) this.#goals.hookLogged(hook.hook as HookId, [line]);
      return;
    }
    if (result !== RESULT.progress) return;
    const activity = this.#activities.find(id);
    const [done, expected, , failed] = fields.map(numberOf);
    switch (activity?.type) {
      case "counters":
        if (activity.of !== "builds" || failed === undefined || failed <= this.#failedSoFar) return;
        this.#uncounted += Number(failed - this.#failedSoFar);
        this.#failedSoFar = failed;
        return;
      case "fetch":
        this.#goals.fetched(activity.path, done ?? 0n, expected ?? 0n);
        return;
      case "copy": {
        const transfer = this.#transfers.get(activity.copy);
        if (transfer === undefined || done === undefined || done <= transfer.doneBytes) return;
        transfer.doneBytes = done;
        this.#goals.copied(activity.copy as CopyId, done);
        return;
      }
      default:
        return;
    }
  }

  /** The same rules as for builds of our own: what a log line means is one question. */
  #listenerOf(drvPath: string): LogListener {
    const known = this.#listeners.get(drvPath);
    if (known !== undefined) return known;
    const listener = hearBuild({
      started: () => undefined,
      phase: (name) => this.#goals.phase(drvPath, name),
      logged: (lines) => this.#goals.logged(drvPath, lines),
      noticed: (message) => this.#notice(message, "info", "BUILDER_NOTICE"),
    });
    this.#listeners.set(drvPath, listener);
    return listener;
  }
}

function textOf(field: LogField | undefined): string | null {
  return typeof field === "string" ? field : null;
}

function numberOf(field: LogField): bigint {
  return typeof field === "bigint" ? field : 0n;
}

function atLeast1(value: number): number {
  return Number.isSafeInteger(value) && value > 0 ? value : 1;
}
