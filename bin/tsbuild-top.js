#!/usr/bin/env node
// Starts tsbuild-top on a Node that can run it: this one if it is new enough, else the one the checkout or installation brings.
//
// Plain JavaScript without newer syntax, so that a Node from 12.20 on reads it and can say what is wrong.
//
// Two things are set for this process before anything is imported, and neither may reach a builder, a hook or any other child:
//   NODE_ENV=production   React is twice as fast with it, and nobody sets it for a command line program;
//   the compile cache     in the user's own cache folder (the default, a folder in /tmp, could be another user's).
// What the user's environment was is kept in globalThis[Symbol.for("tsbuild-top.userEnvironment")], a frozen copy of process.env.
// Whatever starts a child builds its environment from that copy, never from process.env.
import { spawn } from "node:child_process";
import { closeSync, existsSync, openSync } from "node:fs";
import module from "node:module";
import { constants, homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { broughtNode, isNewEnough, OLDEST_MAJOR } from "./brought-node.js";

// Service unavailable, in sysexits.h.
const EX_UNAVAILABLE = 69;
// Set for the second Node only, so that a brought Node which is too old itself ends in a message and not in a loop.
const GUARD = "TSBUILD_TOP_SECOND_NODE";
const FORWARDED = ["SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGCONT"];

const here = dirname(fileURLToPath(import.meta.url));

function fail(message) {
  process.stderr.write(`tsbuild-top: ${message}\n`);
  process.exit(EX_UNAVAILABLE);
}

/** Whether keys of a terminal can reach this process as signals. */
function hasTerminal() {
  try {
    closeSync(openSync("/dev/tty", "r"));
    return true;
  } catch (_) {
    return false;
  }
}

function runHere() {
  const guarded = Object.assign({}, process.env);
  delete guarded[GUARD];
  delete process.env[GUARD];
  globalThis[Symbol.for("tsbuild-top.userEnvironment")] = Object.freeze(guarded);
  if (process.env.NODE_ENV === undefined) process.env.NODE_ENV = "production";
  if (module.enableCompileCache && !process.env.NODE_COMPILE_CACHE) {
    module.enableCompileCache(join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "tsbuild-top", "compile"));
  }

  // Where the bundle could not be made, the modules it is made of run as well, only later.
  const places = ["../dist/program/main.js", "../dist/bin/main.js"].map((place) => new URL(place, import.meta.url));
  const main = places.find((place) => existsSync(fileURLToPath(place)));
  if (main === undefined)
    fail(`this checkout is not built: run npm run build (npm ci if nothing is installed) in ${dirname(here)}`);
  import(main.href).catch((error) => {
    process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
    process.exit(1);
  });
}

function runOn(node) {
  const env = Object.assign({}, process.env);
  env[GUARD] = "1";
  const child = spawn(node, [fileURLToPath(import.meta.url)].concat(process.argv.slice(2)), { stdio: "inherit", env });
  const forwarded = FORWARDED.map((name) => ({ name, forward: () => child.kill(name) }));
  for (const each of forwarded) process.on(each.name, each.forward);
  // A terminal sends Ctrl-C to both of us: passing it on would press it twice, which means cancel. Without a terminal it is ours alone.
  const terminal = hasTerminal();
  const interrupted = () => {
    if (!terminal) child.kill("SIGINT");
  };
  process.on("SIGINT", interrupted);

  child.on("error", (error) => fail(`cannot start ${node}: ${error.message}`));
  child.on("exit", (status, signal) => {
    if (signal === null) process.exit(status);
    // End as the child did, so that a shell or a supervisor sees the signal and not a number.
    for (const each of forwarded) process.off(each.name, each.forward);
    process.off("SIGINT", interrupted);
    process.kill(process.pid, signal);
    // Only for a signal that does not end this process.
    setTimeout(() => process.exit(128 + (constants.signals[signal] || 0)), 100);
  });
}

if (isNewEnough()) {
  runHere();
} else {
  const node = process.env[GUARD] ? null : broughtNode();
  if (node === null)
    fail(`needs Node ${OLDEST_MAJOR} or newer, this is ${process.versions.node} (${process.execPath})`);
  runOn(node);
}
