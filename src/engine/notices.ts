// Errors and words as notices: how anything that is no other event reaches the user.
import { EngineError, messageOf } from "./errors.ts";
import type { EngineEvent } from "./events/event.ts";

type Notice = Extract<EngineEvent, { type: "noticeRaised" }>;

/** An error as a notice, with its code and hint. */
export function noticeOf(error: unknown, level: Notice["level"] = "error"): Notice {
  const known = error instanceof EngineError;
  return {
    type: "noticeRaised",
    level,
    code: known ? error.code : "ENGINE_ERROR",
    message: messageOf(error),
    hint: known ? error.hint : null,
    machine: null,
    goal: null,
  };
}

/** Words as a notice: what a program we ran said. */
export function messageNotice(message: string, level: Notice["level"] = "info", code = "MESSAGE"): Notice {
  return { type: "noticeRaised", level, code, message, hint: null, machine: null, goal: null };
}
