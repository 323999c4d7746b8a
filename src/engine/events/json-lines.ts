// One event as one line of JSON, and back: the form of `--ui json` and of recordings (documented in docs/EVENTS.md).

import { parseBoundedJson } from "../base/bounded-json.ts";
import { EngineError } from "../base/errors.ts";
import type { EngineEvent, PublishedEvent } from "./event.ts";
import { jsonText } from "./json-text.ts";
import { misfitOf } from "./shapes.ts";

/** Longest line accepted when reading, in UTF-16 code units. */
export const MAX_EVENT_LINE = 64 * 1024 * 1024;

/** The latest time that can be displayed, in ms. */
const LATEST = 8.64e15;

/** The event as one line without its line end: a flat object that opens with `seq`, `at` and `type`. */
export function printEventLine(published: PublishedEvent): string {
  return jsonText({ seq: published.seq, at: published.at, ...published.event });
}

/**
 * Reads one line. Accepts types this program does not know, so that an older program can read a newer stream.
 * @param where names the line in errors (`run.jsonl:12`)
 * @throws EngineError EVENTS_BAD_LINE
 */
export function parseEventLine(line: string, where: string): PublishedEvent {
  const fields = parseObject(line, where);
  const { seq, at, type, ...given } = fields;
  // Older recordings have no `cause`.
  const rest = type === "noticeRaised" && !("cause" in given) ? { ...given, cause: null } : given;
  if (!Number.isSafeInteger(seq) || Number(seq) < 0) throw badLine(where, "a whole number in `seq`", seq);
  if (typeof at !== "number" || !Number.isFinite(at)) throw badLine(where, "a number in `at`", at);
  if (typeof type !== "string") throw badLine(where, "a text in `type`", type);
  if (Math.abs(at) > LATEST) throw badLine(where, "a time in `at`", at);
  const misfit = misfitOf({ ...rest, type });
  if (misfit !== null) throw badLine(where, `${misfit.expected} in \`${misfit.field}\` of ${type}`, misfit.found);
  // Readers ignore types they do not know.
  return { seq: Number(seq), at, event: { type, ...rest } as unknown as EngineEvent };
}

/** The object in a line of JSON. */
export function parseObject(line: string, where: string): Readonly<Record<string, unknown>> {
  if (line.length > MAX_EVENT_LINE) throw badLine(where, `at most ${MAX_EVENT_LINE} characters`, line.length);
  let value: unknown;
  try {
    value = parseBoundedJson(line);
  } catch (cause) {
    throw new EngineError("format", "EVENTS_BAD_LINE", `${where}: not a line of JSON: ${line.slice(0, 80)}`, {
      hint: "Give a file made with --record, or the output of --ui json.",
      cause,
    });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw badLine(where, "an object", value);
  return value as Readonly<Record<string, unknown>>;
}

function badLine(where: string, expected: string, found: unknown): EngineError {
  const text = JSON.stringify(found) ?? String(found);
  return new EngineError("format", "EVENTS_BAD_LINE", `${where}: expected ${expected}, found ${text.slice(0, 80)}`, {
    hint: "Give a file made with --record, or the output of --ui json.",
  });
}
