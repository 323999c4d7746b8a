// A recorded run as a file: one header line, then one event per line as in `--ui json`; and the position of a replay in it.
import { EngineError } from "../base/errors.ts";
import { EVENTS_VERSION, type PublishedEvent } from "./event.ts";
import { parseEventLine, parseObject } from "./json-lines.ts";

/** Raised when the header changes in a way old readers cannot read. */
export const RECORDING_VERSION = 1;

export interface RecordingHeader {
  readonly recording: typeof RECORDING_VERSION;
  readonly eventsVersion: number;
  /** `tsbuild-top 0.1.0`. */
  readonly program: string;
  /** Wall time in ms since 1970. */
  readonly recordedAt: number;
}

export interface Recording {
  readonly header: RecordingHeader;
  readonly events: readonly PublishedEvent[];
  /** Wall time of the first event, and ms from the first event to the last. */
  readonly startedAt: number;
  readonly length: number;
  /** The last line was incomplete: the program that recorded it was killed. */
  readonly isCut: boolean;
}

/** The first line of a recording, without its line end. */
export function printRecordingHeader(program: string, recordedAt: number): string {
  const header: RecordingHeader = { recording: RECORDING_VERSION, eventsVersion: EVENTS_VERSION, program, recordedAt };
  return JSON.stringify(header);
}

/**
 * Reads a whole recording. The output of `--ui json` is also a recording, without the header.
 * @param lines without line ends; empty ones are skipped
 * @param name of the file, for errors
 * @throws EngineError RECORDING_EMPTY, RECORDING_TOO_NEW, EVENTS_BAD_LINE
 */
export function parseRecording(lines: readonly string[], name: string): Recording {
  const events: PublishedEvent[] = [];
  let header: RecordingHeader | null = null;
  let isCut = false;
  const last = lines.findLastIndex((line) => line.trim() !== "");
  for (let index = 0; index <= last; index++) {
    const line = lines[index] ?? "";
    const where = `${name}:${index + 1}`;
    if (line.trim() === "") continue;
    if (events.length === 0 && header === null && !line.includes('"seq":')) {
      header = parseHeader(line, where);
      continue;
    }
    try {
      events.push(parseEventLine(line, where));
    } catch (error) {
      if (index !== last) throw error;
      isCut = true;
    }
  }
  const first = events[0];
  if (first === undefined)
    throw new EngineError("format", "RECORDING_EMPTY", `${name}: expected events, found none`, {
      hint: "Give a file made with --record FILE.",
    });
  const startedAt = first.at;
  const length = events.reduce((longest, event) => Math.max(longest, event.at - startedAt), 0);
  return { header: header ?? unnamedHeader(startedAt), events, startedAt, length, isCut };
}

function unnamedHeader(recordedAt: number): RecordingHeader {
  return { recording: RECORDING_VERSION, eventsVersion: EVENTS_VERSION, program: "unknown", recordedAt };
}

function parseHeader(line: string, where: string): RecordingHeader {
  const { recording, eventsVersion, program, recordedAt } = parseObject(line, where);
  if (typeof recording !== "number" || typeof eventsVersion !== "number")
    throw new EngineError(
      "format",
      "EVENTS_BAD_LINE",
      `${where}: expected the header of a recording, found ${line.slice(0, 80)}`,
      {
        hint: "Give a file made with --record FILE.",
      },
    );
  if (recording > RECORDING_VERSION || eventsVersion > EVENTS_VERSION)
    throw new EngineError(
      "format",
      "RECORDING_TOO_NEW",
      `${where}: expected recording version ${RECORDING_VERSION} with events version ${EVENTS_VERSION}, found ${recording} with ${eventsVersion}`,
      { hint: "Replay it with the tsbuild-top that recorded it, or a newer one." },
    );
  return {
    recording: RECORDING_VERSION,
    eventsVersion,
    program: typeof program === "string" ? program : "unknown",
    recordedAt: typeof recordedAt === "number" ? recordedAt : 0,
  };
}

/** The position of a replay. */
export interface Playback {
  /** Ms since the first event. */
  readonly position: number;
  /** Index of the next event to deliver. */
  readonly next: number;
}

export const PLAYBACK_START: Playback = { position: 0, next: 0 };

/** Moves to a position and returns the events up to it; going back starts from the beginning. */
export function playTo(
  recording: Recording,
  playback: Playback,
  position: number,
): { readonly playback: Playback; readonly events: readonly PublishedEvent[] } {
  const target = Math.min(Math.max(position, 0), recording.length);
  let next = target < playback.position ? 0 : playback.next;
  const from = next;
  while (next < recording.events.length && (recording.events[next]?.at ?? 0) - recording.startedAt <= target) next++;
  return { playback: { position: target, next }, events: recording.events.slice(from, next) };
}
