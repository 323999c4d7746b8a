// What Nix's messages say about a build: plans, failures and their kinds, in the words of Nix 2.8 to 2.34.
import type { ExitClass } from "../../events/event.ts";
import { isStorePath } from "../../formats/store-path.ts";
import { stripAnsi } from "../../protocols/ansi.ts";

/** One message, as far as it is understood. */
export type MessageMeaning =
  /** A list of derivations or paths follows, one message each, indented (Nix: `printMissing`). */
  | { readonly type: "listBegins"; readonly what: "derivations" | "paths" | "unknown" }
  | { readonly type: "listed"; readonly path: string }
  /** A derivation failed. Its own failure, or that of something it needs. */
  | { readonly type: "failed"; readonly drvPath: string; readonly exitClass: ExitClass; readonly text: string }
  | { readonly type: "inputsFailed"; readonly drvPath: string; readonly text: string }
  /** Says once more that something failed. */
  | { readonly type: "summary"; readonly text: string }
  | { readonly type: "other"; readonly text: string };

const LIST =
  /^(?:these \d+|this|don't know how to build these) (derivations?|paths?)(?: will be (built|fetched))?[^:]*:$/;
const FAILURES: readonly (readonly [RegExp, ExitClass])[] = [
  [/hash mismatch in fixed-output derivation '([^']+\.drv)'/, "hashMismatch"],
  [/derivation '([^']+\.drv)' may not be deterministic/, "notDeterministic"],
  [/output '[^']*' of '([^']+\.drv)' differs/, "notDeterministic"],
  [/building of '([^']+\.drv)[^']*'.* timed out after/, "timeout"],
  [/Cannot build '([^']+\.drv)'[\s\S]*timed out after/, "timeout"],
  [/builder for '([^']+\.drv)' failed/, "build"],
  [/(?:Cannot|cannot) build '([^']+\.drv)'/, "build"],
  [/build of '([^']+\.drv)' on '[^']*' failed/, "build"],
  [/failed to build '([^']+\.drv)'/, "build"],
];
const INPUTS = [
  /\d+ dependenc(?:y|ies) of derivation '([^']+\.drv)' failed to build/,
  /Cannot build '([^']+\.drv)'[\s\S]*\d+ dependenc(?:y|ies) failed/,
] as const;
const SUMMARY = /^build of .*(?:failed|may not be deterministic)|^build failed$/;

/** Reads a message without its level. */
export function meaningOf(message: string): MessageMeaning {
  const plain = stripAnsi(message);
  const text = plain.replace(/^\s*error:\s*/, "").trim();
  const listed = /^ {2}(\/\S+)$/.exec(plain)?.[1];
  if (listed !== undefined && isStorePath(listed)) return { type: "listed", path: listed };
  const list = LIST.exec(plain.trim());
  if (list !== null) {
    const what = plain.startsWith("don't") ? "unknown" : list[1]!.startsWith("path") ? "paths" : "derivations";
    return { type: "listBegins", what };
  }
  for (const pattern of INPUTS) {
    const drvPath = pattern.exec(text)?.[1];
    if (drvPath !== undefined) return { type: "inputsFailed", drvPath, text };
  }
  if (SUMMARY.test(text)) return { type: "summary", text };
  for (const [pattern, exitClass] of FAILURES) {
    const drvPath = pattern.exec(text)?.[1];
    if (drvPath !== undefined) return { type: "failed", drvPath, exitClass, text };
  }
  return { type: "other", text };
}
