// Guesses why two files differ from the bytes around the first difference: headers of known formats first, then text, then plain bytes.
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { ContentComparison, type ContentEvidence, type FileEvidence } from "../compare/compare-contents.ts";
import { areBuildTimes, type Cause, type GuessContext, isoTime, isText } from "./cause.ts";
import { archiveCause } from "./guess-archives.ts";
import { textCause } from "./guess-text.ts";

export const UNKNOWN_CAUSE: Cause = { type: "unknown", words: "" };

/** Most bytes a compressed file may unpack to for a guess. */
const MAX_UNPACKED = 4 << 20;

/**
 * The likeliest cause; `unknown` with empty words when nothing speaks for one. Where the first difference only follows from another one (a build ID), or
 * says nothing, those behind it are looked at, and in compressed files what is in them.
 */
export function guessCause(path: string, evidence: ContentEvidence, context: GuessContext): Cause {
  const first = causeHere(path, evidence, context);
  if (first.type === "compression") return unpackedCause(path, evidence, context) ?? first;
  if (first.type !== "buildId" && first !== UNKNOWN_CAUSE) return first;
  for (const later of evidence.later) {
    const { offset, windowStart } = later;
    const side = (from: FileEvidence, window: Uint8Array): FileEvidence => ({ head: from.head, window, whole: null });
    const there = {
      first: side(evidence.first, later.first),
      other: side(evidence.other, later.other),
      offset,
      windowStart,
    };
    const cause = causeHere(path, { ...evidence, ...there }, context);
    if (cause.type !== "buildId" && cause.type !== "unknown" && cause.type !== "randomness")
      return { type: cause.type, words: `${cause.words}, at byte ${offset}` };
  }
  return first;
}

/** What differs in files compressed with gzip or zstd that were kept whole. */
function unpackedCause(path: string, { first, other }: ContentEvidence, context: GuessContext): Cause | null {
  const [one, two] = [unpack(first), unpack(other)];
  if (one === null || two === null) return null;
  const comparison = new ContentComparison(one.length, two.length, true);
  const common = Math.min(one.length, two.length);
  comparison.both(one.subarray(0, common), two.subarray(0, common));
  if (one.length > common) comparison.rest("first", one.subarray(common));
  if (two.length > common) comparison.rest("other", two.subarray(common));
  const evidence = comparison.finish();
  if (evidence === null) return { type: "compression", words: "the same contents, compressed in two ways" };
  const cause = causeHere(path.replace(/\.(?:gz|tgz|zst)$/, ""), evidence, context);
  return cause.words === "" || cause.type === "compression"
    ? null
    : { type: cause.type, words: `${cause.words}, in compressed contents` };
}

function unpack({ whole }: FileEvidence): Uint8Array | null {
  if (whole === null) return null;
  const magic = Buffer.from(whole.subarray(0, 4)).toString("hex");
  const limit = { maxOutputLength: MAX_UNPACKED };
  try {
    if (magic.startsWith("1f8b")) return gunzipSync(whole, limit);
    return magic === "28b52ffd" ? zstdDecompressSync(whole, limit) : null;
  } catch {
    // Cut off, too large, or something else that begins like it.
    return null;
  }
}

function causeHere(path: string, evidence: ContentEvidence, context: GuessContext): Cause {
  return (
    archiveCause(path, evidence) ??
    orderCause(evidence) ??
    textCause(evidence, context) ??
    binaryTimeCause(evidence, context) ??
    randomCause(evidence) ??
    UNKNOWN_CAUSE
  );
}

/** The same lines or words in another order; only for files that were kept whole. */
function orderCause({ first, other, firstSize, otherSize }: ContentEvidence): Cause | null {
  if (first.whole === null || other.whole === null) return null;
  const [one, two] = [first, other].map(({ whole }) => Buffer.from(whole!).toString("latin1")) as [string, string];
  const lines = [one.split("\n"), two.split("\n")] as const;
  if (sameMembers(lines[0], lines[1])) {
    const locale = isSortedBytewise(lines[0]) || isSortedBytewise(lines[1]) ? sortedOtherwise(lines) : null;
    return locale ?? { type: "ordering", words: "an ordering: the same lines in another order" };
  }
  const words = [one.split(SEPARATORS), two.split(SEPARATORS)] as const;
  if (words[0].length > 1 && sameMembers(words[0], words[1])) {
    return { type: "ordering", words: "an ordering: the same words in another order" };
  }
  const enough = firstSize >= 64 && firstSize === otherSize;
  if (enough && one.includes("\0") && sameMembers(records(one), records(two))) {
    return { type: "ordering", words: "an ordering: the same records in another order" };
  }
  return null;
}

/** One of the two is in the order of bytes (the C locale): is the other in the order of a language? */
function sortedOtherwise(lines: readonly [readonly string[], readonly string[]]): Cause | null {
  const collator = new Intl.Collator("en");
  const isCollated = (list: readonly string[]): boolean =>
    list.every((line, index) => index === 0 || line === "" || collator.compare(list[index - 1]!, line) <= 0);
  const other = isSortedBytewise(lines[0]) ? lines[1] : lines[0];
  return isCollated(other)
    ? { type: "locale", words: "a locale: the same lines, sorted once by bytes and once by language" }
    : null;
}

function isSortedBytewise(list: readonly string[]): boolean {
  return list.every((line, index) => index === 0 || line === "" || list[index - 1]! <= line);
}

/** What stands between words: also the marks of JSON and of other notations. */
const SEPARATORS = /[\s,;:=\0"'{}[\]()<>]+/;

function sameMembers(one: readonly string[], two: readonly string[]): boolean {
  if (one.length !== two.length || one.length < 2) return false;
  const sorted = [...two].sort();
  return [...one].sort().every((member, index) => member === sorted[index]);
}

/** Eight bytes each: the smallest unit tables of offsets and pointers are made of. */
function records(bytes: string): string[] {
  return bytes.match(/[\s\S]{1,8}/g) ?? [];
}

function binaryTimeCause(
  { first, other, offset, windowStart }: ContentEvidence,
  { builtAt }: GuessContext,
): Cause | null {
  const [one, two] = [Buffer.from(first.window), Buffer.from(other.window)];
  const at = offset - windowStart;
  for (let start = Math.max(0, at - 7); start <= at; start++) {
    if (start + 4 > one.length || start + 4 > two.length) break;
    for (const [read, order] of [
      [Buffer.prototype.readUInt32LE, "little"],
      [Buffer.prototype.readUInt32BE, "big"],
    ] as const) {
      const [a, b] = [read.call(one, start), read.call(two, start)];
      if (a !== b && areBuildTimes(a, b, builtAt)) {
        return { type: "timestamp", words: `a time stamp: ${isoTime(a)} and ${isoTime(b)} in ${order}-endian seconds` };
      }
    }
  }
  return null;
}

function randomCause({ first, other, offset, windowStart, firstSize, otherSize }: ContentEvidence): Cause | null {
  if (firstSize !== otherSize) return null;
  const at = offset - windowStart;
  const [one, two] = [first.window.subarray(at, at + 64), other.window.subarray(at, at + 64)];
  const length = Math.min(one.length, two.length);
  if (length < 16 || isText(one) || isText(two)) return null;
  const differing = one.filter((byte, index) => byte !== two[index]).length;
  const isVaried = (bytes: Uint8Array): boolean => new Set(bytes).size > bytes.length * 0.7;
  if (differing < length * 0.8 || !isVaried(one) || !isVaried(two)) return null;
  return { type: "randomness", words: "randomness: equally long, and nothing in common" };
}
