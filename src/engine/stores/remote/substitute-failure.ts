// Why a daemon could not fetch a path: either an offered substitute turned out to be unavailable, or the fetch failed.
import { EngineError } from "../../base/errors.ts";
import type { StorePath } from "../../formats/store-path.ts";
import type { LogListener } from "../../protocols/log-frame.ts";
import { isRemoteError, plainMessage } from "../../protocols/remote-error.ts";

/** Maximum number of a daemon's messages to remember. */
const MAX_LINES = 20;

/** The messages of `Store::ensurePath` and of a failed substitution goal, for any reason (Nix 2.8 to 2.34). */
const ENDED_BADLY =
  /does not exist and cannot be created|no substituter that can build it|some references of path .* could not be realised/;

/** What Nix treats as never offered (`SubstituteGone`, `NoSuchBinaryCacheFile`). */
const GONE = /does not exist in binary cache/;

/** Remembers a daemon's messages beside its answer. */
export class SubstituteReasons {
  readonly #lines: string[] = [];

  readonly hear: LogListener = (frames) => {
    for (const frame of frames) {
      if (frame.type === "next" && this.#lines.length < MAX_LINES) this.#lines.push(frame.text.trim());
    }
  };

  /**
   * The error for a path that could not be fetched, with the reasons: `SUBSTITUTE_NOT_FOUND` when nobody has it after all (not trusted, its file or
   * one of its references gone), `SUBSTITUTE_FAILED` when the fetch failed. Any other error is returned unchanged.
   */
  explain(path: StorePath, error: unknown): unknown {
    if (!isRemoteError(error) || !ENDED_BADLY.test(error.remoteMessage)) return error;
    const isError = (line: string): boolean => /^(?:\u001b\[[\d;]*m)*error:/.test(line);
    const failed = this.#lines.filter((line) => isError(line) && !GONE.test(line));
    const said = (failed.length > 0 ? failed : this.#lines).map((line) => plainMessage(line).replace(/^warning: /, ""));
    const reason = said.length === 0 ? error.remoteMessage : said.join("; ");
    const code = failed.length > 0 ? "SUBSTITUTE_FAILED" : "SUBSTITUTE_NOT_FOUND";
    return new EngineError("store", code, `path '${path}' cannot be fetched: ${reason}`, { cause: error });
  }
}
