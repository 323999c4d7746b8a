// The program: reads the command line, hands each command to its own file, turns its end into an exit status.
import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import type { Surroundings } from "../src/engine/index.ts";
import type { Invocation } from "./invocation.ts";
import { parseCommandLine } from "./options.ts";

/** The user's own environment: the shim has changed ours for React's sake, and builders must not see that. */
function userEnvironment(): Readonly<Record<string, string | undefined>> {
  const kept = (globalThis as Record<symbol, unknown>)[Symbol.for("tsbuild-top.userEnvironment")];
  return (kept as Readonly<Record<string, string | undefined>> | undefined) ?? { ...process.env };
}

function version(): string {
  // The same file from the sources and from dist/: the nearest package.json above.
  for (const place of ["../package.json", "../../package.json"]) {
    try {
      const { name, version } = JSON.parse(readFileSync(new URL(place, import.meta.url), "utf8")) as Record<
        string,
        string
      >;
      if (name === "tsbuild-top" && version !== undefined) return version;
    } catch {
      // Tried at the next place.
    }
  }
  return "unknown";
}

async function run(invocation: Invocation, surroundings: Surroundings): Promise<number> {
  switch (invocation.type) {
    case "help":
      process.stdout.write(`${invocation.text.trimEnd()}\n`);
      return 0;
    case "build":
      return (await import("./commands/build.ts")).build(invocation, surroundings);
    case "ping-store":
      return (await import("./commands/ping-store.ts")).pingStoreCommand(invocation, surroundings);
    case "replay":
      return (await import("./commands/replay.ts")).replayCommand(invocation, surroundings);
    case "watch":
      return (await import("./commands/watch.ts")).watchCommand(invocation, surroundings);
    case "builders":
      return (await import("./commands/builders.ts")).buildersCommand(invocation, surroundings);
    case "hooks":
      return (await import("./commands/hooks.ts")).hooksCommand(invocation, surroundings);
    case "serve":
      return (await import("./commands/serve.ts")).serveCommand(invocation, surroundings);
    case "demo":
      return (await import("./commands/demo.ts")).demoCommand(invocation, surroundings);
    case "copy":
      return (await import("./commands/copy.ts")).copyCommand(invocation, surroundings);
    case "realise":
      return (await import("./commands/realise.ts")).realiseCommand(invocation, surroundings);
    case "delete":
      return (await import("./commands/delete.ts")).deleteCommand(invocation, surroundings);
    case "gc":
      return (await import("./commands/collect-garbage.ts")).garbageCommand(invocation, surroundings);
    case "log":
      return (await import("./commands/log.ts")).logCommand(invocation, surroundings);
    case "sign-paths":
      return (await import("./commands/sign-paths.ts")).signPathsCommand(invocation, surroundings);
    case "generate-binary-cache-key":
      return (await import("./commands/generate-key.ts")).generateKeyCommand(invocation);
    case "verify":
      return (await import("./commands/verify.ts")).verifyCommand(invocation, surroundings);
  }
}

/** A usage error has a status of its own in no version of Nix: 1, like every other. */
async function main(): Promise<void> {
  const program = version();
  try {
    const invocation = parseCommandLine(process.argv.slice(2), program);
    const surroundings = { environment: userEnvironment(), cwd: process.cwd(), program: `tsbuild-top ${program}` };
    process.exitCode = await run(invocation, surroundings);
  } catch (error) {
    (await import("./say.ts")).complain(error);
    process.exitCode = 1;
  }
  // What is still open then (an SSH agent, a dying connection) must not keep the program.
  setTimeout(() => process.exit(), 500).unref();
}

/**
 * Buffers count for the garbage collector like everything else, not by a limit of their own: with that, every 20 MiB that come over a
 * network would have the whole heap collected. V8 promises nothing about its flags, so only the version that was tried is told.
 */
function collectBuffersSeldom(): void {
  if (process.versions.v8.startsWith("13.6.")) setFlagsFromString("--external-memory-accounted-in-global-limit");
}

collectBuffersSeldom();
await main();
