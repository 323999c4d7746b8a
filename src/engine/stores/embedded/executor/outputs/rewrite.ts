// Replaces hash parts in texts and streams by others of the same length, and hashes contents as if they did not name themselves.
import type { ByteString } from "../../../../formats/byte-string.ts";
import { createHasher, type HashAlgorithm } from "../../../../formats/hash.ts";

/** From → to. */
export type Rewrites = ReadonlyMap<ByteString, ByteString>;

/** A text with all rewrites done (Nix: `rewriteStrings`). */
export function rewriteText(text: ByteString, rewrites: Rewrites): ByteString {
  let result: string = text;
  for (const [from, to] of rewrites) if (from !== to && result.includes(from)) result = result.replaceAll(from, to);
  return result as ByteString;
}

/** Receives the position of each match in a stream. */
export type MatchListener = (position: number) => void;

/**
 * Rewrites a stream; every `from` and every `to` has the same length. The output consists of copies.
 */
export class StreamRewriter {
  readonly #pairs: readonly (readonly [Buffer, Buffer])[];
  readonly #keep: number;
  readonly #matched: MatchListener;
  #tail = Buffer.alloc(0);
  #position = 0;

  constructor(rewrites: Rewrites, matched: MatchListener = () => undefined) {
    this.#pairs = [...rewrites].map(([from, to]) => [Buffer.from(from, "latin1"), Buffer.from(to, "latin1")]);
    this.#keep = Math.max(0, ...this.#pairs.map(([from]) => from.length - 1));
    this.#matched = matched;
  }

  /** The bytes that can be passed on after this chunk. */
  push(chunk: Uint8Array): Uint8Array {
    const bytes = Buffer.concat([this.#tail, chunk]);
    const matches: number[] = [];
    for (const [from, to] of this.#pairs) {
      for (let at = bytes.indexOf(from); at >= 0; at = bytes.indexOf(from, at + 1)) {
        matches.push(this.#position + at);
        to.copy(bytes, at);
      }
    }
    for (const position of matches.sort((one, other) => one - other)) this.#matched(position);
    const ready = Math.max(0, bytes.length - this.#keep);
    this.#tail = bytes.subarray(ready);
    this.#position += ready;
    return bytes.subarray(0, ready);
  }

  /** The rest, when no more chunks come. */
  finish(): Uint8Array {
    return this.#tail;
  }
}

/** A stream rewritten. */
export async function* rewriteStream(
  chunks: AsyncIterable<Uint8Array>,
  rewrites: Rewrites,
): AsyncGenerator<Uint8Array, void, undefined> {
  const rewriter = new StreamRewriter(rewrites);
  for await (const chunk of chunks) {
    const ready = rewriter.push(chunk);
    if (ready.length > 0) yield ready;
  }
  const rest = rewriter.finish();
  if (rest.length > 0) yield rest;
}

/**
 * The hash of contents in which `hashPart` counts as zeros, followed by its positions (Nix: `HashModuloSink`): equal for
 * contents that differ only in their own path.
 */
export async function hashModulo(
  chunks: AsyncIterable<Uint8Array>,
  algorithm: HashAlgorithm,
  hashPart: string,
): Promise<Uint8Array> {
  const hasher = createHasher(algorithm);
  const positions: number[] = [];
  const zeros = "\0".repeat(hashPart.length) as ByteString;
  const rewriter = new StreamRewriter(new Map([[hashPart as ByteString, zeros]]), (position) =>
    positions.push(position),
  );
  for await (const chunk of chunks) hasher.update(rewriter.push(chunk));
  hasher.update(rewriter.finish());
  for (const position of positions) hasher.update(`|${position}`);
  return new Uint8Array(hasher.digest());
}
