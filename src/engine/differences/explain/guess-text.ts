// Recognises what differs in a piece of text: dates, build directories, host names, identifiers, numbers.

import type { ContentEvidence } from "../compare/compare-contents.ts";
import { areBuildTimes, type Cause, type GuessContext, isoTime, isText } from "./cause.ts";

/** Bytes looked at on each side of the difference. */
const REACH = 200;

const MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*";
const CLOCK = "\\d{1,2}:\\d{2}(?::\\d{2}(?:\\.\\d+)?)?";
const DATES = [
  new RegExp(`\\d{4}[-/.]\\d{2}[-/.]\\d{2}(?:[T _]${CLOCK}(?: ?(?:Z|[+-]\\d{2}:?\\d{2}))?)?`, "g"),
  /\d{8}[T_-]?\d{6}Z?/g,
  new RegExp(
    `(?:[A-Z][a-z]{2},? +)?${MONTH}\\.? +\\d{1,2}(?:,? +(?:${CLOCK}|\\d{4}))*(?: +[A-Z]{2,5})?(?: +\\d{4})?`,
    "g",
  ),
  new RegExp(`(?:[A-Z][a-z]{2},? +)?\\d{1,2} +${MONTH}\\.? +\\d{4}(?: +${CLOCK})?`, "g"),
  new RegExp(CLOCK, "g"),
];
const BUILD_DIRECTORIES = [
  /(?:\/private)?\/tmp\/nix-build-[^\s'":]*/g,
  /\/(?:nix|private|var)[^\s'":]*\/builds?\/nix[^\s'":]*/g,
  /\/var\/folders\/[^\s'":]*/g,
  /nix-build-[^\s'":/]*\.drv-\d+/g,
  /\/build(?:\/[^\s'":]*)?/g,
];
const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/gi;
const STORE_PATH = /\/nix\/store\/[0-9a-z]{32}-[0-9a-zA-Z+\-._?=]*/g;
const EPOCH = /\d{10}(?:\d{3}|\.\d+)?/g;
/** A number by itself, not a part of a name. */
const NUMBER = /(?<![A-Za-z0-9])\d+(?![A-Za-z0-9])/g;
const VERSION = /\d+(?:\.\d+){2,}[\w.+~-]*/g;
const ADDRESS = /0x[0-9a-fA-F]{8,16}/g;
const CORES = /(?:-j|(?:jobs|cores?|cpus?|processors|threads|parallel)\W{0,3})\d+/gi;
const NAME = /[A-Za-z0-9]{6,}/g;
const DIGITS = /[0-9a-fA-F]{16,}/g;
const BASE64 = /[A-Za-z0-9+/_-]{20,}={0,2}/g;
const HOST = /[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?/g;
const DECIMAL = /\d+[.,]\d+/g;
const LOCALE =
  /(?:LANG|LANGUAGE|LC_[A-Z]+)=[^\s]*|[a-z]{2}_[A-Z]{2}(?:\.[A-Za-z0-9-]+)?|UTF-8|ANSI_X3\.4-1968|US-ASCII/g;

/** The cause when the difference lies in text and the text gives it away. */
export function textCause({ first, other, offset, windowStart }: ContentEvidence, context: GuessContext): Cause | null {
  const one = lineAround(first.window, offset - windowStart);
  const two = lineAround(other.window, offset - windowStart);
  return one === null || two === null ? null : pairCause({ one, two }, context);
}

/** The cause why two short texts differ (the targets of a symlink); null when they do not give it away. */
export function textsCause(first: string, other: string, context: GuessContext): Cause | null {
  let at = 0;
  while (at < first.length && first[at] === other[at]) at++;
  return pairCause({ one: { text: first, at }, two: { text: other, at } }, context);
}

function pairCause(pair: Pair, context: GuessContext): Cause | null {
  for (const pattern of BUILD_DIRECTORIES) {
    const found = across(pair, pattern, "either");
    if (found !== null) return { type: "buildPath", words: `a build path: ${shown(found)}` };
  }
  const host = across(pair, HOST, "both");
  if (host !== null && isHost(host, context.hostNames))
    return { type: "hostName", words: `a host name: ${shown(host)}` };
  const uuid = across(pair, UUID, "both");
  if (uuid !== null) return { type: "randomness", words: "randomness: a UUID" };
  const store = across(pair, STORE_PATH, "both");
  if (store !== null) return { type: "storePath", words: `another store path: ${shown(store)}` };
  for (const pattern of DATES) {
    const found = across(pair, pattern, "both");
    if (found !== null) return { type: "timestamp", words: `a time stamp: ${shown(found)}` };
  }
  return numberCause(pair, context) ?? localeCause(pair) ?? identifierCause(pair);
}

function numberCause(pair: Pair, { builtAt }: GuessContext): Cause | null {
  const epoch = across(pair, EPOCH, "both");
  if (epoch !== null) {
    const [a, b] = epoch.map((digits) => (/^\d{13}$/.test(digits) ? Number(digits) / 1000 : Number(digits))) as [
      number,
      number,
    ];
    if (areBuildTimes(a, b, builtAt))
      return { type: "timestamp", words: `a time stamp: ${isoTime(a)} and ${isoTime(b)} in seconds since 1970` };
  }
  const decimal = across(pair, DECIMAL, "both");
  if (decimal !== null && decimal[0].replace(",", ".") === decimal[1].replace(",", ".")) {
    return { type: "locale", words: `a locale: the decimal point of ${shown(decimal)}` };
  }
  const address = across(pair, ADDRESS, "both");
  if (address !== null) return { type: "randomness", words: `randomness: an address in memory, ${shown(address)}` };
  const cores = across(pair, CORES, "both");
  if (cores !== null) return { type: "unknown", words: `the number of cores: ${shown(cores)}` };
  const version = across(pair, VERSION, "both");
  if (version !== null) return { type: "unknown", words: `a version of the system or of a tool: ${shown(version)}` };
  const number = across(pair, NUMBER, "both");
  if (number === null || number.some((digits) => digits.length > 12)) return null;
  return { type: "randomness", words: `randomness, a process ID or a counter: ${shown(number)}` };
}

function localeCause(pair: Pair): Cause | null {
  const found = across(pair, LOCALE, "either");
  return found === null ? null : { type: "locale", words: `a locale: ${shown(found)}` };
}

function identifierCause(pair: Pair): Cause | null {
  for (const pattern of [DIGITS, BASE64]) {
    const found = across(pair, pattern, "both");
    if (found === null || found[0].length !== found[1].length) continue;
    if (found.every((text) => new Set(text).size >= 8))
      return { type: "randomness", words: "randomness, or the hash of something that differs" };
  }
  const name = across(pair, NAME, "both");
  if (name === null || name[0].length !== name[1].length || !name.every(isGenerated)) return null;
  return { type: "randomness", words: `randomness: a generated name, ${shown(name)}` };
}

/** Letters and digits, or letters large and small, in no order people write them in. */
function isGenerated(text: string): boolean {
  const changes = [...text.matchAll(/(?<=[a-z])[A-Z0-9]|(?<=[A-Z])[0-9]|(?<=[0-9])[A-Za-z]/g)].length;
  return changes >= 2;
}

interface Line {
  readonly text: string;
  /** The difference's place in it. */
  readonly at: number;
}

interface Pair {
  readonly one: Line;
  readonly two: Line;
}

/** The line (or a part of a long one) that holds the difference; null where the bytes are no text. */
function lineAround(window: Uint8Array, at: number): Line | null {
  const near = window.subarray(Math.max(0, at - REACH), at + REACH);
  const center = Math.min(at, REACH);
  // Text in the midst of a binary file ends at NUL bytes.
  let start = center;
  while (start > 0 && near[start - 1] !== 10 && near[start - 1] !== 0) start--;
  let end = center;
  while (end < near.length && near[end] !== 10 && near[end] !== 0) end++;
  const bytes = near.subarray(start, end);
  return isText(bytes) ? { text: Buffer.from(bytes).toString("latin1"), at: center - start } : null;
}

/**
 * The texts that a pattern matches where the difference is, the first result's first. `either`: it is enough that one of them is such a text; then the
 * other's is what stands from the same place up to the next blank.
 */
function across({ one, two }: Pair, pattern: RegExp, need: "both" | "either"): readonly [string, string] | null {
  const [a, b] = [matchAt(one, pattern), matchAt(two, pattern)];
  if (a === null && b === null) return null;
  if (need === "both" && (a === null || b === null)) return null;
  const start = (a ?? b)!.index;
  const found = [a?.[0] ?? wordFrom(one, start), b?.[0] ?? wordFrom(two, start)] as const;
  return found[0] === found[1] ? null : found;
}

function matchAt({ text, at }: Line, pattern: RegExp): RegExpExecArray | null {
  for (const match of text.matchAll(pattern)) {
    if (match.index <= at && at <= match.index + match[0].length) return match;
  }
  return null;
}

function wordFrom({ text }: Line, start: number): string {
  return /^[^\s'"]*/.exec(text.slice(start))?.[0] ?? "";
}

function isHost(found: readonly string[], hostNames: readonly string[]): boolean {
  const known = new Set(hostNames.flatMap((name) => [name, name.split(".")[0]!]).filter((name) => name.length > 1));
  return found.some((text) => known.has(text) || known.has(text.split(".")[0]!));
}

function shown(found: readonly [string, string]): string {
  const [one, two] = found.map((text) => (text.length > 60 ? `${text.slice(0, 57)}...` : text)) as [string, string];
  return `'${one}' and '${two}'`;
}
