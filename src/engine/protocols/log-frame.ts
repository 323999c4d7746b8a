// What a daemon reports while it works: the frames of the worker protocol's stderr loop ↔ values (Nix: worker-protocol.hh, logging.hh).
import type { ByteReader } from "../formats/wire/reader.ts";
import type { ByteWriter } from "../formats/wire/writer.ts";
import { MAX_FIELDS, MAX_STRING_BYTES } from "./limits.ts";
import type { ErrorReport } from "./remote-error.ts";

/** Tags on the wire. */
export const STDERR = {
  next: 0x6f6c6d67n,
  read: 0x64617461n,
  write: 0x64617416n,
  last: 0x616c7473n,
  error: 0x63787470n,
  startActivity: 0x53545254n,
  stopActivity: 0x53544f50n,
  result: 0x52534c54n,
} as const;

/** The Nix activity types this program uses; any other number is passed on unchanged. */
export const ACTIVITY = {
  copyPath: 100,
  fileTransfer: 101,
  build: 105,
  substitute: 108,
  postBuildHook: 110,
  buildWaiting: 111,
} as const;

/** The Nix result types this program uses. */
export const RESULT = { buildLogLine: 101, setPhase: 104, progress: 105, postBuildLogLine: 107 } as const;

/** A field of an activity or result: an integer or a text. */
export type LogField = bigint | string;

/** A message or a step of an activity. Ids are 64 bits wide (`pid << 32 | n`). */
export type LogFrame =
  /** A message at or below the requested verbosity; ends with a newline. */
  | { readonly type: "next"; readonly text: string }
  | {
      readonly type: "start";
      readonly id: bigint;
      readonly level: number;
      readonly activity: number;
      readonly text: string;
      readonly fields: readonly LogField[];
      readonly parent: bigint;
    }
  | { readonly type: "stop"; readonly id: bigint }
  | { readonly type: "result"; readonly id: bigint; readonly result: number; readonly fields: readonly LogField[] };

/** Everything that can come before the answer of an operation. */
export type StderrMessage =
  | LogFrame
  | { readonly type: "last" }
  | { readonly type: "error"; readonly report: ErrorReport }
  /** The server asks for at most `max` bytes of the upload (1.21 and 1.22). */
  | { readonly type: "read"; readonly max: number }
  | { readonly type: "write"; readonly bytes: Uint8Array };

const LAST: StderrMessage = { type: "last" };

/** Receives the frames that arrive during an operation: all that came together, in order. Called synchronously; must not throw. */
export type LogListener = (frames: readonly LogFrame[]) => void;

/** The next message if it is completely buffered, else null; never awaits. */
export function tryReadStderr(reader: ByteReader): StderrMessage | null {
  const start = reader.position;
  const message = tryMessage(reader);
  if (message === null) reader.unread(reader.position - start);
  return message;
}

function tryMessage(reader: ByteReader): StderrMessage | null {
  switch (reader.tryReadU64()) {
    case STDERR.result: {
      const id = reader.tryReadU64();
      const result = reader.tryReadU64();
      const fields = tryFields(reader);
      return id === null || result === null || fields === null
        ? null
        : { type: "result", id, result: Number(result), fields };
    }
    case STDERR.next: {
      const text = tryText(reader);
      return text === null ? null : { type: "next", text };
    }
    case STDERR.stopActivity: {
      const id = reader.tryReadU64();
      return id === null ? null : { type: "stop", id };
    }
    case STDERR.last:
      return LAST;
    default:
      return null;
  }
}

function tryFields(reader: ByteReader): LogField[] | null {
  const count = reader.tryReadU64();
  if (count === null || count > BigInt(MAX_FIELDS)) return null;
  const fields: LogField[] = [];
  for (let index = 0n; index < count; index++) {
    const kind = reader.tryReadU64();
    const field = kind === 0n ? reader.tryReadU64() : kind === 1n ? tryText(reader) : null;
    if (field === null) return null;
    fields.push(field);
  }
  return fields;
}

function tryText(reader: ByteReader): string | null {
  return reader.tryReadString(MAX_STRING_BYTES, "a log message");
}

/** Reads the next message. The protocol's `minor` decides the form of errors. @throws EngineError `WIRE_BAD_VALUE` for an unknown tag. */
export async function readStderr(reader: ByteReader, minor: number): Promise<StderrMessage> {
  const tag = await reader.readU64();
  switch (tag) {
    case STDERR.next:
      return { type: "next", text: await reader.readString(MAX_STRING_BYTES, "a log message") };
    case STDERR.last:
      return LAST;
    case STDERR.error:
      return { type: "error", report: await readError(reader, minor) };
    case STDERR.startActivity: {
      const id = await reader.readU64();
      const level = Number(await reader.readU64());
      const activity = Number(await reader.readU64());
      const text = await reader.readString(MAX_STRING_BYTES, "an activity's text");
      const fields = await readFields(reader);
      return { type: "start", id, level, activity, text, fields, parent: await reader.readU64() };
    }
    case STDERR.stopActivity:
      return { type: "stop", id: await reader.readU64() };
    case STDERR.result: {
      const id = await reader.readU64();
      const result = Number(await reader.readU64());
      return { type: "result", id, result, fields: await readFields(reader) };
    }
    case STDERR.read:
      return { type: "read", max: await reader.readNumber(Number.MAX_SAFE_INTEGER, "the size of an upload request") };
    case STDERR.write:
      return { type: "write", bytes: await reader.readBytes(MAX_STRING_BYTES, "data of the daemon") };
    default:
      throw reader.fail("WIRE_BAD_VALUE", "expected a message of the daemon", `the tag 0x${tag.toString(16)}`);
  }
}

/** Reads the rest of an error after its tag: structured since 1.26, a text and an exit status before. */
export async function readError(reader: ByteReader, minor: number): Promise<ErrorReport> {
  const first = await reader.readString(MAX_STRING_BYTES, "an error message");
  if (minor < 26) {
    await reader.readU64();
    return { level: 0, message: first, traces: [] };
  }
  const level = Number(await reader.readU64());
  await reader.readString(MAX_STRING_BYTES, "an error's name");
  const message = await reader.readString(MAX_STRING_BYTES, "an error message");
  await reader.readU64();
  const readTrace = async (): Promise<string> => {
    await reader.readU64();
    return reader.readString(MAX_STRING_BYTES, "a trace of an error");
  };
  return { level, message, traces: await reader.readList(MAX_FIELDS, readTrace, "the traces of an error") };
}

async function readFields(reader: ByteReader): Promise<LogField[]> {
  return reader.readList(MAX_FIELDS, () => readField(reader), "the fields of a log message");
}

async function readField(reader: ByteReader): Promise<LogField> {
  const kind = await reader.readU64();
  if (kind === 0n) return reader.readU64();
  if (kind === 1n) return reader.readString(MAX_STRING_BYTES, "a field of a log message");
  throw reader.fail("WIRE_BAD_VALUE", "expected a field of kind 0 or 1", `${kind}`);
}

/** Writes a frame in the form of the given minor: before 1.20 there are only messages, and the start of an activity becomes one. */
export function writeLogFrame(writer: ByteWriter, frame: LogFrame, minor: number): void {
  if (minor < 20) {
    const text =
      frame.type === "next" ? frame.text : frame.type === "start" && frame.text !== "" ? `${frame.text}...\n` : "";
    if (text !== "") writer.u64(STDERR.next).string(text);
    return;
  }
  switch (frame.type) {
    case "next":
      writer.u64(STDERR.next).string(frame.text);
      return;
    case "start":
      writer.u64(STDERR.startActivity).u64(frame.id).u64(frame.level).u64(frame.activity).string(frame.text);
      writeFields(writer, frame.fields);
      writer.u64(frame.parent);
      return;
    case "stop":
      writer.u64(STDERR.stopActivity).u64(frame.id);
      return;
    case "result":
      writer.u64(STDERR.result).u64(frame.id).u64(frame.result);
      writeFields(writer, frame.fields);
      return;
  }
}

/** Writes an error, which ends the operation; traces are dropped before 1.26. */
export function writeError(writer: ByteWriter, report: ErrorReport, minor: number): void {
  writer.u64(STDERR.error);
  if (minor < 26) {
    writer.string(report.message).u64(1);
    return;
  }
  writer.string("Error").u64(report.level).string("Error").string(report.message).u64(0);
  writer.list(report.traces, (trace) => writer.u64(0).string(trace));
}

function writeFields(writer: ByteWriter, fields: readonly LogField[]): void {
  writer.list(fields, (field) => {
    if (typeof field === "bigint") writer.u64(0).u64(field);
    else writer.u64(1).string(field);
  });
}
