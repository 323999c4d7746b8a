// A notice as lines below each other: what happened as whoever said it broke its lines, then what to do about it.
import { asSentence, stopped } from "../../../engine/base/errors.ts";
import { sanitizeColored, sanitizeLine } from "../../format/sanitize.ts";

/** The lines of a message and its hint; those after the first keep their indentation (Nix points at places with it). */
export function noticeLines(prefix: string, message: string, hint: string | null, color: boolean): readonly string[] {
  const show = color ? sanitizeColored : sanitizeLine;
  const lines = (hint === null ? message.trimEnd() : stopped(message)).split("\n").map((line) => show(line));
  const hints =
    hint === null
      ? []
      : asSentence(hint)
          .split("\n")
          .map((line) => `       ${show(line)}`);
  return [`${prefix}${lines[0] ?? ""}`, ...lines.slice(1), ...hints];
}
