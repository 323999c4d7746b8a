// Runs the post-build hook as Nix does: `DRV_PATH` and `OUT_PATHS` in the environment (Nix manual, Using the post-build-hook).
import type { Clock } from "../base/clock.ts";
import type { StorePath } from "../formats/store-path.ts";
import { failureOf, runProgram } from "./run-program.ts";

export interface PostBuildHook {
  /** The program, `post-build-hook`. */
  readonly program: string;
  /** Milliseconds, 0 no limit. */
  readonly timeoutMs: number;
  /** What the program gets beside `DRV_PATH` and `OUT_PATHS`. */
  readonly env: Readonly<Record<string, string>>;
  /** Every setting, one `name = value` a line: `NIX_CONFIG`, as Nix hands it to hooks. */
  readonly nixConfig: string;
  readonly cwd: string;
  readonly clock: Clock;
}

/** Runs the hook once for one build. Never rejects; `failure` is null when it exited with 0. */
export async function runPostBuildHook(
  hook: PostBuildHook,
  drvPath: StorePath,
  outPaths: readonly StorePath[],
  logged: (lines: readonly string[]) => void,
  signal: AbortSignal,
): Promise<{ readonly failure: string | null; readonly durationMs: number }> {
  const end = await runProgram(
    {
      file: hook.program,
      args: [],
      env: { ...hook.env, DRV_PATH: drvPath, OUT_PATHS: outPaths.join(" "), NIX_CONFIG: hook.nixConfig },
      cwd: hook.cwd,
      timeoutMs: hook.timeoutMs,
      user: null,
      logged,
      clock: hook.clock,
    },
    signal,
  );
  return { failure: failureOf(hook.program, end), durationMs: end.durationMs };
}
