// The first bytes of a connection: a magic number, or what a remote machine printed in its place.
import { EngineError } from "../base/errors.ts";
import type { ByteReader } from "../formats/wire/reader.ts";
import { stripAnsi } from "./ansi.ts";
import type { Pipeline } from "./pipeline.ts";

/** How long to wait for the rest of a wrong greeting, to show all of it. */
const GREETING_GRACE_MS = 200;

/** Longest part of a wrong greeting that is shown, in bytes; the same for binary data. */
const SHOWN_BYTES = 400;
const SHOWN_BINARY_BYTES = 16;

/**
 * Reads the server's magic number. `program` is what should have answered, for messages.
 * @throws EngineError `PROTOCOL_BAD_GREETING` that shows what came instead, `PROTOCOL_CONNECTION_LOST` when nothing came.
 */
export async function expectMagic(pipeline: Pipeline, magic: bigint, program: string): Promise<void> {
  const { reader } = pipeline;
  const head = Buffer.from(await reader.peek(8));
  if (head.length === 8 && head.readBigUInt64LE() === magic) {
    await reader.readU64();
    return;
  }
  if (head.length === 0) throw await silent(pipeline, program);
  throw new EngineError(
    "protocol",
    "PROTOCOL_BAD_GREETING",
    `${pipeline.peer}: expected the greeting of '${program}', found ${await shown(pipeline, reader, head)}`,
    { hint: hintFor(pipeline.transport.stderrTail(), program, true) },
  );
}

async function shown(pipeline: Pipeline, reader: ByteReader, head: Buffer): Promise<string> {
  while (reader.buffered < SHOWN_BYTES && (await pipeline.nextArrival(GREETING_GRACE_MS)) === "more") {
    const before = reader.buffered;
    await reader.peek(before + 1);
    if (reader.buffered === before) break;
  }
  const bytes = await reader.peek(Math.min(SHOWN_BYTES, Math.max(head.length, reader.buffered)));
  const text = stripAnsi(Buffer.from(bytes).toString("utf8")).trim();
  const tail = stripAnsi(pipeline.transport.stderrTail()).trim();
  const what = isReadable(text)
    ? `the text ${JSON.stringify(text)}`
    : `bytes that are no text: ${Buffer.from(bytes.subarray(0, SHOWN_BINARY_BYTES)).toString("hex")}…`;
  return `${what}${tail === "" ? "" : `, and on standard error: ${tail}`}`;
}

/** Whether it is worth showing as text: at most one character in ten is unprintable. */
function isReadable(text: string): boolean {
  const odd = [...text].filter((char) => char === "\ufffd" || (char < " " && !"\n\r\t".includes(char))).length;
  return odd * 10 <= text.length;
}

async function silent(pipeline: Pipeline, program: string): Promise<EngineError> {
  const reason = await pipeline.explain(new Error(`the connection ended before '${program}' answered`));
  const hint = hintFor(pipeline.transport.stderrTail(), program, false);
  return new EngineError(reason.family, reason.code, reason.message, { hint, cause: reason.cause });
}

function hintFor(stderr: string, program: string, printed: boolean): string {
  if (/not found|No such file/i.test(stderr)) {
    return `'${program.split(" ")[0]}' must be in the PATH of a non-interactive login there, or be named by 'remote-program'.`;
  }
  return printed
    ? "The login shell there prints something: make its start-up files silent when they are not interactive."
    : `Run '${program}' there by hand to see what it says.`;
}
