// Errors and messages as notices: how anything without an event of its own reaches the user.
import { EngineError, messageOf } from "../base/errors.ts";
import { proseWithoutPasswords } from "../base/without-password.ts";
import type { EngineEvent } from "./event.ts";

const MAX_CAUSES = 8;

type Notice = Extract<EngineEvent, { type: "noticeRaised" }>;

/** An error as a notice, with its code and hint. */
export function noticeOf(error: unknown, level: Notice["level"] = "error"): Notice {
  const known = error instanceof EngineError;
  return {
    type: "noticeRaised",
    level,
    code: known ? error.code : "ENGINE_ERROR",
    message: proseWithoutPasswords(messageOf(error)),
    hint: known ? error.hint : null,
    cause: causeOf(error),
    machine: null,
    goal: null,
  };
}

/** The messages of an error's causes, nearest first, except those that its own message repeats. */
function causeOf(error: unknown): string | null {
  const said: string[] = [];
  let told = messageOf(error);
  let cause = error instanceof Error ? error.cause : undefined;
  for (let depth = 0; cause !== undefined && cause !== null && depth < MAX_CAUSES; depth++) {
    const message = messageOf(cause);
    if (message !== "" && !told.includes(message)) said.push(message);
    told += message;
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return said.length === 0 ? null : proseWithoutPasswords(said.join(": "));
}

/** A message as a notice, such as one from a program we ran. */
export function messageNotice(
  message: string,
  level: Notice["level"] = "info",
  code = "MESSAGE",
  hint: string | null = null,
): Notice {
  const shown = proseWithoutPasswords(message);
  return { type: "noticeRaised", level, code, message: shown, hint, cause: null, machine: null, goal: null };
}
