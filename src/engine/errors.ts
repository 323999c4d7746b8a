// The one error shape of the engine: every failure a user can meet carries a stable code, a hint and its cause.

/** Whose fault a failure is; decides its exit status and whether trying again elsewhere can help. */
export type ErrorFamily = "usage" | "config" | "format" | "transport" | "protocol" | "store" | "build" | "internal";

/** Options of {@link EngineError}. */
export interface EngineErrorOptions {
  /** What the user can do next, one sentence. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/**
 * A failure with a stable code. The message says where, what was expected and what was found; the hint says what to do next.
 * Codes are SCREAMING_SNAKE words whose first word names the room (`MACHINES_BAD_FIELD`, `SSH_HOST_KEY_CHANGED`).
 */
export class EngineError extends Error {
  readonly code: string;
  readonly family: ErrorFamily;
  readonly hint: string | null;

  constructor(family: ErrorFamily, code: string, message: string, options: EngineErrorOptions = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = "EngineError";
    this.family = family;
    this.code = code;
    this.hint = options.hint ?? null;
  }
}

/** Text of anything thrown: the message of an Error, else its string form. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
