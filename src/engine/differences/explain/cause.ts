// The causes differences are put down to, and the measures several guesses share.

/** A cause with the words that follow "looks like". */
export interface Cause {
  readonly type:
    | "timestamp"
    | "buildPath"
    | "ordering"
    | "locale"
    | "hostName"
    | "storePath"
    | "randomness"
    | "buildId"
    | "compression"
    | "unknown";
  readonly words: string;
}

/** What is known of the two builds. */
export interface GuessContext {
  /** Names of the machines they ran on. */
  readonly hostNames: readonly string[];
  /** Wall time in ms at which one of them ended; the other was within days of it. Null when unknown. */
  readonly builtAt: number | null;
}

/** A week, in seconds: how far two times of one derivation's builds may lie apart. */
const NEARBY = 7 * 24 * 3600;

/** Seconds since 1970 that this program may meet: 2001 to 2100. */
const PLAUSIBLE = { from: 1e9, to: 4.1e9 };

/** Whether two numbers of seconds can be the times of two builds. */
export function areBuildTimes(one: number, two: number, builtAt: number | null): boolean {
  if (Math.abs(one - two) > NEARBY) return false;
  if (builtAt !== null) return Math.abs(one - builtAt / 1000) <= NEARBY;
  return one >= PLAUSIBLE.from && one <= PLAUSIBLE.to;
}

/** `2024-05-01T12:00:00Z` for seconds since 1970. */
export function isoTime(seconds: number): string {
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}Z`;
}

/** Whether bytes read as text: no NUL, hardly a control character. */
export function isText(bytes: Uint8Array): boolean {
  let odd = 0;
  for (const byte of bytes) {
    if (byte === 0) return false;
    if (byte < 9 || (byte > 13 && byte < 32) || byte === 127) odd++;
  }
  return odd * 20 <= bytes.length;
}
