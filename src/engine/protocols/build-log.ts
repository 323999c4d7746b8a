// The progress of one build: log frames of the worker protocol → started, phase, lines, notices, and back again for a server.

import type { StorePath } from "../formats/store-path.ts";
import { stripAnsi } from "./ansi.ts";
import { ACTIVITY, type LogFrame, type LogListener, RESULT } from "./log-frame.ts";

/** Receives the progress of a build. Called synchronously and often; must not throw. */
export interface BuildReporter {
  /** The builder program has been started. */
  started(): void;
  phase(name: string): void;
  /** Log lines without line ends, as they came. */
  logged(lines: readonly string[]): void;
  /** Messages of the store itself, not of the builder (`note: keeping build directory …`). */
  noticed(message: string): void;
}

/** Makes a log listener from a build reporter; lines that arrive together are passed on together. */
export function hearBuild(listener: BuildReporter): LogListener {
  /** Activities that only wait, for a lock held by another build of the same outputs. */
  const waits = new Set<bigint>();
  return (frames) => {
    let lines: string[] = [];
    const flush = (): void => {
      if (lines.length === 0) return;
      listener.logged(lines);
      lines = [];
    };
    for (const frame of frames) {
      const line = logLineOf(frame);
      if (line !== null) {
        // Nix 2.8 announces an error of its own by this mark, on a line of its own.
        if (line !== ERROR_MARK) lines.push(serialisedError(line) ?? line);
        continue;
      }
      flush();
      hearFrame(frame, listener, waits);
    }
    flush();
  };
}

const ERROR_MARK = "\u0001";

/** The head of an error as Nix 2.8 writes it: two length-prefixed texts, the first "Error", and the level between them. */
const SERIALISED = /^\u0005\0{7}Error\0{3}[\s\S]{8}\u0005\0{7}Error\0{3}[\s\S]\S?\0{6,7}([^\0]+)\0/;

/** The message of an error that Nix 2.8 wrote into the log in its binary form; null for any other line (serialise.cc, `Sink << Error`). */
function serialisedError(line: string): string | null {
  const message = SERIALISED.exec(line)?.[1];
  return message === undefined ? null : `error: ${stripAnsi(message)}`;
}

function logLineOf(frame: LogFrame): string | null {
  if (frame.type !== "result" || frame.result !== RESULT.buildLogLine) return null;
  const line = frame.fields[0];
  return typeof line === "string" ? line : null;
}

function hearFrame(frame: LogFrame, listener: BuildReporter, waits: Set<bigint>): void {
  if (frame.type === "start" && frame.activity === ACTIVITY.build) {
    listener.started();
    if (waits.size > 0) listener.phase("building");
    waits.clear();
  } else if (frame.type === "start" && frame.activity === ACTIVITY.buildWaiting && frame.text !== "") {
    const reason = stripAnsi(frame.text);
    waits.add(frame.id);
    // "waiting for lock on '…'": the notice names the lock.
    listener.phase(reason.replace(/ (?:on|to) .*/s, ""));
    listener.noticed(reason);
  } else if (frame.type === "stop" && waits.delete(frame.id)) {
    listener.phase("building");
  } else if (frame.type === "next") {
    listener.noticed(frame.text.replace(/\n+$/, ""));
  } else if (frame.type === "result") {
    const text = frame.fields[0];
    if (typeof text !== "string") return;
    if (frame.result === RESULT.setPhase) listener.phase(text);
    else if (frame.result === RESULT.postBuildLogLine) listener.noticed(`post-build-hook: ${text}`);
  }
}

/** The reverse: a reporter that sends frames of an activity with the given id. `stop` ends that activity. */
export function tellBuild(
  drvPath: StorePath,
  id: bigint,
  say: (frames: readonly LogFrame[]) => void,
): { readonly listener: BuildReporter; readonly stop: () => void } {
  let running = false;
  const start = (): void => {
    if (running) return;
    running = true;
    const fields = [drvPath, "", 1n, 1n];
    say([{ type: "start", id, level: 3, activity: ACTIVITY.build, text: `building '${drvPath}'`, fields, parent: 0n }]);
  };
  const result = (number: number, text: string): LogFrame => ({ type: "result", id, result: number, fields: [text] });
  return {
    listener: {
      started: start,
      phase: (name) => {
        start();
        say([result(RESULT.setPhase, name)]);
      },
      logged: (lines) => {
        start();
        say(lines.map((line) => result(RESULT.buildLogLine, line)));
      },
      noticed: (message) => say([{ type: "next", text: `${message}\n` }]),
    },
    stop: () => {
      if (running) say([{ type: "stop", id }]);
      running = false;
    },
  };
}
