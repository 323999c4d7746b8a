// Version numbers of both protocols: their form on the wire, the version two peers agree on, and the abilities of a Nix release.
import { EngineError } from "../base/errors.ts";

/** A protocol version: the number on the wire is `major << 8 | minor` (Nix: `PROTOCOL_VERSION`). */
export interface ProtocolVersion {
  readonly major: number;
  readonly minor: number;
}

/** The worker protocol is offered as 1.38 (Nix 2.24 to 2.34) without features; what older daemons lack is left out per version. */
export const WORKER_MAJOR = 1;
export const WORKER_NEWEST_MINOR = 38;
/** Nix 2.0 speaks 1.20; everything since 1.18 is supported. */
export const WORKER_OLDEST_MINOR = 18;

/** The serve protocol is offered as 2.7 (Nix 2.4 to 2.34): servers of 2.4 to 2.10 ignore a lower offer when they encode results. */
export const SERVE_MAJOR = 2;
export const SERVE_NEWEST_MINOR = 7;
/** Nix 2.1's; 2.0 (2.4) lacks AddToStoreNar, and Nix itself requires 2.5. */
export const SERVE_OLDEST_MINOR = 5;

/** The number on the wire. */
export function encodeVersion(version: ProtocolVersion): bigint {
  return BigInt(version.major * 256 + version.minor);
}

/** Reads the number on the wire; anything beyond 16 bits is not a version. */
export function decodeVersion(word: bigint): ProtocolVersion | null {
  if (word < 0n || word > 0xffffn) return null;
  const number = Number(word);
  return { major: number >> 8, minor: number & 0xff };
}

/** `1.38`. */
export function printVersion(version: ProtocolVersion): string {
  return `${version.major}.${version.minor}`;
}

/**
 * The version both sides understand: the lower one.
 * @throws EngineError `PROTOCOL_VERSION_UNSUPPORTED` when the majors differ or the minor is older than `oldestMinor`.
 */
export function negotiate(
  mine: ProtocolVersion,
  theirs: ProtocolVersion | null,
  oldestMinor: number,
  peer: string,
): ProtocolVersion {
  const minor = Math.min(mine.minor, theirs?.minor ?? 0);
  if (theirs === null || theirs.major !== mine.major || minor < oldestMinor) {
    throw new EngineError(
      "protocol",
      "PROTOCOL_VERSION_UNSUPPORTED",
      `${peer}: expected protocol ${mine.major}.${oldestMinor} to ${printVersion(mine)}, found ${theirs === null ? "no version number" : printVersion(theirs)}`,
      { hint: "Nix 2.0 or newer must answer there." },
    );
  }
  return { major: mine.major, minor };
}

/** Major and minor of a Nix release (`2.18.1`, `2.19.0pre20231101_abc`), null for anything else. */
export function parseNixVersion(text: string): { readonly major: number; readonly minor: number } | null {
  const match = /(\d{1,4})\.(\d{1,4})(?!\d)/.exec(text);
  return match ? { major: Number(match[1]), minor: Number(match[2]) } : null;
}

/** Whether a daemon's version text names Nix `major.minor` or newer; false when unknown (before protocol 1.33). */
export function nixVersionAtLeast(text: string | null, major: number, minor: number): boolean {
  const version = text === null ? null : parseNixVersion(text);
  if (version === null) return false;
  return version.major > major || (version.major === major && version.minor >= minor);
}
