// The start script: it runs the program on a Node new enough, passes signals and statuses through, and says what is missing.
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { collect } from "../support/processes.ts";
import { removeDirectory, temporaryDirectory } from "../support/temporary-directory.ts";

const shim = fileURLToPath(new URL("../../bin/tsbuild-top.js", import.meta.url));

const search = fileURLToPath(new URL("../../bin/brought-node.js", import.meta.url));

// A Node 24 that says it is 20, so that the test does not depend on an old one being installed.
const pretendOld = [
  "--import",
  `data:text/javascript,Object.defineProperty(process,"versions",{value:{...process.versions,node:"20.0.0"}})`,
];

const main = `
const user = globalThis[Symbol.for("tsbuild-top.userEnvironment")];
const report = {
  arguments: process.argv.slice(2),
  nodeEnv: process.env.NODE_ENV,
  user: { NODE_ENV: user.NODE_ENV ?? null, MARK: user.MARK ?? null, frozen: Object.isFrozen(user) },
  leaked: Object.keys(user).filter((name) => name.startsWith("TSBUILD_TOP")),
  parent: process.ppid,
};
const [what, value] = process.argv.slice(2);
// Listening before it speaks: the test sends signals as soon as it has read the report.
if (what === "wait") {
  for (const name of ["SIGTERM", "SIGHUP", "SIGUSR2", "SIGINT"]) process.on(name, () => process.stdout.write(name + "\\n"));
  process.stdin.on("end", () => process.exit(0)).resume();
}
process.stdout.write(JSON.stringify(report) + "\\n");
if (what === "exit") process.exit(Number(value));
if (what === "die") process.kill(process.pid, value);
`;

describe("bin/tsbuild-top.js", () => {
  let directory: string;
  const checkout = () => join(directory, "checkout");
  const environment = (more: Record<string, string> = {}) => ({
    PATH: process.env.PATH ?? "",
    HOME: directory,
    ...more,
  });
  const run = (node: readonly string[], args: readonly string[], env: Record<string, string> = {}) =>
    collect(process.execPath, [...node, join(checkout(), "bin/tsbuild-top.js"), ...args], { env: environment(env) });

  beforeAll(() => {
    directory = temporaryDirectory("shim");
    const brought = join(checkout(), "node_modules", `node-${process.platform}-${process.arch}`, "bin");
    for (const folder of ["bin", "dist/program"]) mkdirSync(join(checkout(), folder), { recursive: true });
    mkdirSync(brought, { recursive: true });
    symlinkSync(process.execPath, join(brought, "node"));
    copyFileSync(shim, join(checkout(), "bin/tsbuild-top.js"));
    copyFileSync(search, join(checkout(), "bin/brought-node.js"));
    writeFileSync(join(checkout(), "package.json"), '{"type":"module"}');
    writeFileSync(join(checkout(), "dist/program/main.js"), main);
  });
  afterAll(() => removeDirectory(directory));

  it.each([
    ["a new Node", []],
    ["an old Node", pretendOld],
  ])("runs the program from %s, keeping NODE_ENV from children", async (_, node) => {
    const result = await run(node, ["a b", "--flag"], { MARK: "kept" });
    expect(result.stderr).toBe("");
    expect(JSON.parse(result.stdout)).toMatchObject({
      arguments: ["a b", "--flag"],
      nodeEnv: "production",
      user: { NODE_ENV: null, MARK: "kept", frozen: true },
      leaked: [],
    });
    expect(result.status).toBe(0);
  });

  it("leaves a NODE_ENV of the user's alone", async () => {
    const report = JSON.parse((await run([], [], { NODE_ENV: "development" })).stdout);
    expect(report).toMatchObject({ nodeEnv: "development", user: { NODE_ENV: "development" } });
  });

  it.each([
    ["a new Node", []],
    ["an old Node", pretendOld],
  ])("ends as the program does on %s", async (_, node) => {
    expect((await run(node, ["exit", "104"])).status).toBe(104);
    expect((await run(node, ["die", "SIGKILL"])).signal).toBe("SIGKILL");
    expect((await run(node, ["die", "SIGTERM"])).signal).toBe("SIGTERM");
  });

  it("passes signals on, and Ctrl-C only where no terminal would have sent it", async () => {
    const args = [...pretendOld, join(checkout(), "bin/tsbuild-top.js"), "wait"];
    // Detached: a session of its own, so there is no terminal however the tests are run.
    const child: ChildProcessWithoutNullStreams = spawn(process.execPath, args, { env: environment(), detached: true });
    const lines = lineReader(child);
    const report = JSON.parse(await lines());
    expect(report.parent).toBe(child.pid);
    for (const signal of ["SIGTERM", "SIGHUP", "SIGUSR2", "SIGINT"] as const) {
      child.kill(signal);
      expect(await lines()).toBe(signal);
    }
    child.stdin.end();
    expect(await new Promise((resolve) => child.once("exit", resolve))).toBe(0);
  });

  it("finds the brought Node beside it when installed as a dependency", async () => {
    const installed = join(checkout(), "node_modules/tsbuild-top");
    mkdirSync(join(installed, "bin"), { recursive: true });
    mkdirSync(join(installed, "dist/program"), { recursive: true });
    mkdirSync(join(checkout(), "node_modules/.bin"), { recursive: true });
    copyFileSync(shim, join(installed, "bin/tsbuild-top.js"));
    copyFileSync(search, join(installed, "bin/brought-node.js"));
    writeFileSync(join(installed, "package.json"), '{"type":"module"}');
    writeFileSync(join(installed, "dist/program/main.js"), main);
    const link = join(checkout(), "node_modules/.bin/tsbuild-top");
    symlinkSync("../tsbuild-top/bin/tsbuild-top.js", link);
    const result = await collect(process.execPath, [...pretendOld, link, "exit", "7"], { env: environment() });
    expect(result.stderr).toBe("");
    expect(result.status).toBe(7);
  });

  it("says in one line what is missing", async () => {
    const bare = join(directory, "bare");
    mkdirSync(join(bare, "bin"), { recursive: true });
    writeFileSync(join(bare, "package.json"), '{"type":"module"}');
    const copy = join(bare, "bin/tsbuild-top.js");
    copyFileSync(shim, copy);
    copyFileSync(search, join(bare, "bin/brought-node.js"));
    const unbuilt = await collect(process.execPath, [copy], { env: environment() });
    expect(unbuilt).toMatchObject({
      status: 69,
      stderr: `tsbuild-top: this checkout is not built: run npm run build (npm ci if nothing is installed) in ${bare}\n`,
    });
    const old = await collect(process.execPath, [...pretendOld, copy], { env: environment() });
    expect(old.status).toBe(69);
    expect(old.stderr).toBe(
      `tsbuild-top: needs Node 24 or newer, this is 20.0.0 (${join(dirname(process.execPath), "node")})\n`,
    );
  });

  it("runs what a checkout is made with on the brought Node, too, found without a link to it", async () => {
    const script = join(checkout(), "script.mjs");
    writeFileSync(script, "process.stdout.write(process.versions.node); process.exitCode = 3;");
    const helper = [...pretendOld, join(checkout(), "bin/brought-node.js")];
    const ran = await collect(process.execPath, [...helper, script], { env: environment() });
    expect(ran).toMatchObject({ status: 3, stdout: process.versions.node, stderr: "" });
    const printed = await collect(process.execPath, [...helper, "--print"], { env: environment() });
    expect(printed.stdout).toBe(
      `${join(checkout(), "node_modules", `node-${process.platform}-${process.arch}`, "bin/node")}\n`,
    );
  });

  it("has no native part of a tool left out where the machine's own Node is old", () => {
    // npm leaves out optional packages whose `engines` exclude the Node it runs on, here Debian 12's; what runs them is the brought one. So the lock
    // file names no engines for them; `npm install` writes them back: take them out again.
    const lock = JSON.parse(readFileSync(new URL("../../package-lock.json", import.meta.url), "utf8")) as {
      packages: Record<string, { optional?: boolean; os?: string[]; cpu?: string[]; engines?: { node?: string } }>;
    };
    const excluded = Object.entries(lock.packages).filter(
      ([, { optional, os, engines }]) =>
        optional === true && os?.includes("linux") === true && /\^20|>= ?2\d/.test(engines?.node ?? ""),
    );
    expect(excluded.map(([name]) => name)).toEqual([]);
  });
});

function lineReader(child: ChildProcessWithoutNullStreams): () => Promise<string> {
  const lines = child.stdout.setEncoding("utf8")[Symbol.asyncIterator]();
  let rest = "";
  return async () => {
    while (!rest.includes("\n")) {
      const next = await lines.next();
      if (next.done === true) throw new Error(`ended after ${JSON.stringify(rest)}`);
      rest += String(next.value);
    }
    const end = rest.indexOf("\n");
    const line = rest.slice(0, end);
    rest = rest.slice(end + 1);
    return line;
  };
}
