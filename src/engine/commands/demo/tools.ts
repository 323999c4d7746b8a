// The programs the demo's builds use: a static busybox where there is one, else a few of this machine's own and the libraries they need.
import { spawnSync } from "node:child_process";
import { existsSync, realpathSync } from "node:fs";
import { EngineError } from "../../base/errors.ts";
import { findSandboxShell, parseLibraries } from "../../stores/embedded/executor/sandbox/sandbox-shell.ts";
import { searchPath } from "../../stores/embedded/files/flock.ts";

/** What builds are given. */
export interface DemoTools {
  /** Path of a static busybox, empty when there is none. */
  readonly busybox: string;
  /** PATH inside the builds without busybox. */
  readonly path: string;
  /** `sandbox-paths` that show the programs to builds; null for the default, which suffices with busybox. */
  readonly sandboxPaths: readonly string[] | null;
}

const PROGRAMS = ["mkdir", "sleep", "ls", "wc", "tr", "sort", "uniq", "grep", "head", "od", "cat", "cp"];
const INSIDE = "/demo/bin";

/** Looks for them. Throws `EXECUTOR_NO_SHELL`, `DEMO_TOOL_MISSING`. */
export function findDemoTools(): DemoTools {
  const { busybox, mounts } = findSandboxShell();
  const shell = mounts[0];
  if (busybox && shell !== undefined) return { busybox: shell.source, path: "", sandboxPaths: null };
  const paths = new Map(mounts.map(({ target, source }) => [target, source]));
  for (const name of PROGRAMS) {
    const program = find(name);
    paths.set(`${INSIDE}/${name}`, program);
    const { stdout } = spawnSync("ldd", [program], { encoding: "utf8", env: { PATH: searchPath() } });
    for (const library of parseLibraries(stdout ?? ""))
      if (existsSync(library)) paths.set(library, realpathSync(library));
  }
  return { busybox: "", path: INSIDE, sandboxPaths: [...paths].map(([target, file]) => `${target}=${file}`) };
}

function find(name: string): string {
  for (const directory of searchPath().split(":")) {
    const program = `${directory}/${name}`;
    if (existsSync(program)) return realpathSync(program);
  }
  throw new EngineError(
    "usage",
    "DEMO_TOOL_MISSING",
    `the demo's builds need the program '${name}', which is not on this machine`,
    {
      hint: "install busybox (its static variant) or coreutils and grep",
    },
  );
}
