// The built-in summary of two results that differ: one finding a line, at most a screenful.

import type { FileEvidence } from "../compare/compare-contents.ts";
import { compareTrees, type NodeKind, type TreeDifference } from "../compare/compare-trees.ts";
import type { Cause, GuessContext } from "./cause.ts";
import { guessCause } from "./guess-cause.ts";
import { textsCause } from "./guess-text.ts";

/** Most lines of a summary. */
export const SUMMARY_LINES = 20;
/** First differing bytes that are shown of each side. */
const SHOWN_BYTES = 8;

/** What a summary says. Text from the files is in it as it was found, unsanitised. */
export interface Summary {
  readonly lines: readonly string[];
  /** How many differences there are. */
  readonly total: number;
  /** The causes guessed, without repetition, in order. */
  readonly causes: readonly Cause["type"][];
}

type Source = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/**
 * Compares two NARs, each the whole of its stream, and says what differs and why, as far as that can be told.
 * @throws EngineError `NAR_MALFORMED`, `NAR_TRUNCATED`, `NAR_TRAILING`, and what the streams throw
 */
export async function summarise(first: Source, other: Source, context: GuessContext): Promise<Summary> {
  const { differences, total } = await compareTrees(first, other, SUMMARY_LINES);
  if (total === 0)
    return { lines: ["nothing differs any more: one of the two results has changed since"], total: 0, causes: [] };
  const causes: Cause["type"][] = [];
  const lines = differences.map((difference) => {
    const cause = causeOf(difference, context);
    if (cause !== null && cause.type !== "unknown" && !causes.includes(cause.type)) causes.push(cause.type);
    return printDifference(difference, cause);
  });
  if (total > lines.length) lines[SUMMARY_LINES - 1] = `... and ${total - SUMMARY_LINES + 1} more differences`;
  return { lines, total, causes };
}

function causeOf(difference: TreeDifference, context: GuessContext): Cause | null {
  switch (difference.type) {
    case "contents":
      return guessCause(difference.path, difference.evidence, context);
    case "target":
      return textsCause(difference.first, difference.other, context);
    default:
      return null;
  }
}

/** One finding in words. The store path itself is called `.`. */
export function printDifference(difference: TreeDifference, cause: Cause | null): string {
  const path = difference.path === "" ? "." : difference.path;
  switch (difference.type) {
    case "onlyIn": {
      const size = difference.kind === "symlink" ? "" : `, ${difference.size} bytes`;
      return `${path}: only in the ${difference.side} result (${difference.kind}${size})`;
    }
    case "kind":
      return `${path}: ${withArticle(difference.first)} in the first result, ${withArticle(difference.other)} in the other`;
    case "target":
      return `${path}: symlink to '${difference.first}' in the first result, to '${difference.other}' in the other${looksLike(cause)}`;
    case "mode": {
      const [first, other] = difference.firstExecutable ? ["", "not "] : ["not ", ""];
      return `${path}: ${first}executable in the first result, ${other}executable in the other`;
    }
    case "contents": {
      const { firstSize, otherSize, offset, differing, windowStart } = difference.evidence;
      const size =
        differing === null ? `${firstSize} and ${otherSize} bytes` : `${differing} of ${firstSize} bytes differ`;
      const at = offset - windowStart;
      const bytes = `${hexAscii(difference.evidence.first, at)} and ${hexAscii(difference.evidence.other, at)}`;
      return `${path}: ${size}, first at byte ${offset}: ${bytes}${looksLike(cause)}`;
    }
  }
}

/** `38 31 30 38 '8108'`; `(end)` where the file has ended. */
function hexAscii({ window }: FileEvidence, at: number): string {
  const bytes = window.subarray(at, at + SHOWN_BYTES);
  if (bytes.length === 0) return "(end)";
  const ascii = [...bytes].map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : ".")).join("");
  return `${Buffer.from(bytes)
    .toString("hex")
    .replace(/(..)(?=.)/g, "$1 ")} '${ascii}'`;
}

function looksLike(cause: Cause | null): string {
  return cause === null || cause.words === "" ? "" : `; looks like ${cause.words}`;
}

function withArticle(kind: NodeKind): string {
  return `a ${kind}`;
}
