// The one error shape of the engine: every failure a user can meet carries a stable code, a hint and its cause.

import { proseWithoutPasswords } from "./without-password.ts";

/** Whose fault a failure is; decides its exit status and whether trying again elsewhere can help. */
export type ErrorFamily = "usage" | "config" | "format" | "transport" | "protocol" | "store" | "build" | "internal";

export interface EngineErrorOptions {
  /** What the user can do next, one sentence. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/**
 * A failure with a stable code. The message says where, what was expected and what was found; the hint says what to do next.
 * Neither contains a password of a URI, no matter who wrote them.
 * Codes are SCREAMING_SNAKE words whose first word names the room (`MACHINES_BAD_FIELD`, `SSH_HOST_KEY_CHANGED`).
 */
export class EngineError extends Error {
  readonly code: string;
  readonly family: ErrorFamily;
  readonly hint: string | null;

  constructor(family: ErrorFamily, code: string, message: string, options: EngineErrorOptions = {}) {
    super(proseWithoutPasswords(message), options.cause === undefined ? {} : { cause: options.cause });
    this.name = "EngineError";
    this.family = family;
    this.code = code;
    this.hint = options.hint === undefined ? null : proseWithoutPasswords(options.hint);
  }
}

/** Text of anything thrown: the message of an Error, else its string form. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A message with a full stop at its end, so that more can follow. Several lines need none: the last may point at a place. */
export function stopped(message: string): string {
  const text = message.trimEnd();
  if (text === "" || text.includes("\n") || /[.!?\u2026]['")]?$/.test(text)) return text;
  return `${text.replace(/[;:,]$/, "")}.`;
}

/** A hint as the beginning of a sentence; a command or a name at its start stays as written. */
export function asSentence(hint: string): string {
  return /^[a-z]+(?! =)[ ,]/.test(hint) ? hint.charAt(0).toUpperCase() + hint.slice(1) : hint;
}

/** What happened and what to do about it, as separate sentences: the one way the two are joined. */
export function withHint(message: string, hint: string | null, between: " " | "\n" = " "): string {
  return hint === null || hint === "" ? message : `${stopped(message)}${between}${asSentence(hint)}`;
}

/** Everything that a thrown value has to say, on one line: for callers without a separate place for hints. */
export function wordsOf(error: unknown): string {
  return withHint(messageOf(error), error instanceof EngineError ? error.hint : null);
}
