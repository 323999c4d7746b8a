// Finds the Node that an npm package brings for this machine, where the machine's own is too old; run as a program, runs a script on it.
//
// usage: node bin/brought-node.js SCRIPT ARGUMENT…     or --print: the path of the Node alone
//
// Plain JavaScript without newer syntax, as in tsbuild-top.js. The package is searched for and not asked for by a link in node_modules/.bin: npm 9
// deletes that link together with the package of the other processor.
import { spawnSync } from "node:child_process";
import { existsSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const OLDEST_MAJOR = 24;

const here = dirname(fileURLToPath(import.meta.url));

/** Whether this process runs on a Node that is new enough. */
export function isNewEnough() {
  return Number(process.versions.node.split(".")[0]) >= OLDEST_MAJOR;
}

/** The Node brought next to us or in any folder above (where a dependency of ours is hoisted to); null where there is none. */
export function broughtNode() {
  const name = `node-${process.platform}-${process.arch}`;
  for (let folder = dirname(here), above = ""; folder !== above; above = folder, folder = dirname(folder)) {
    const candidate = join(folder, "node_modules", name, "bin", "node");
    if (existsSync(candidate)) return candidate;
  }
  return null;
}

function main(args) {
  const node = isNewEnough() ? process.execPath : broughtNode();
  if (node === null) {
    process.stderr.write(
      `tsbuild-top: needs Node ${OLDEST_MAJOR} or newer, this is ${process.versions.node} (${process.execPath}), and none was brought for ${process.platform} on ${process.arch}: run npm ci\n`,
    );
    return 69;
  }
  if (args[0] === "--print") {
    process.stdout.write(`${node}\n`);
    return 0;
  }
  const { status, signal, error } = spawnSync(node, args, { stdio: "inherit" });
  if (error !== undefined) process.stderr.write(`tsbuild-top: cannot start ${node}: ${error.message}\n`);
  return status === null ? (signal === null ? 69 : 1) : status;
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url))
  process.exitCode = main(process.argv.slice(2));
