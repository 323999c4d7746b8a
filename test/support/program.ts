// Runs the program from its sources, with homes of its own, so that nothing of the user's gets in or out.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type CollectOptions, collect, type RunResult, successful } from "./processes.ts";

const main = fileURLToPath(new URL("../../bin/main.ts", import.meta.url));

/** A user of the program. */
export interface ProgramUser {
  /** Words that run the program, for hook scripts. */
  readonly command: string;
  readonly env: Readonly<Record<string, string>>;
  /** Runs to the end; never rejects because of an exit status. */
  readonly run: (args: readonly string[], options?: ProgramRunOptions) => Promise<RunResult>;
  /** Trimmed stdout; rejects with stderr when the status is not 0. */
  readonly output: (args: readonly string[], options?: ProgramRunOptions) => Promise<string>;
}

/** How one run differs. */
export interface ProgramRunOptions extends Pick<CollectOptions, "cwd" | "timeoutMs"> {
  /** Added to the user's environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** @param home directory for the home, caches and state; made when missing */
export function programUser(home: string): ProgramUser {
  mkdirSync(home, { recursive: true });
  const env = {
    PATH: process.env.PATH ?? "",
    HOME: home,
    XDG_CACHE_HOME: join(home, "cache"),
    XDG_STATE_HOME: join(home, "state"),
    XDG_DATA_HOME: join(home, "data"),
    XDG_CONFIG_HOME: join(home, "config"),
    // The host's nix.conf says nothing to these tests.
    NIX_CONF_DIR: join(home, "nix"),
    NIX_CONFIG: "substituters =\nbuild-users-group =\nexperimental-features = nix-command flakes",
  };
  const run: ProgramUser["run"] = (args, { env: more = {}, ...options } = {}) =>
    collect(process.execPath, [main, ...args], { cwd: home, ...options, env: { ...env, ...more } });
  return {
    command: `${process.execPath} ${main}`,
    env,
    run,
    output: async (args, options) => successful(["tsbuild-top", ...args], await run(args, options)),
  };
}
