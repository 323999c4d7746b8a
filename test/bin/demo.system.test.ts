// The demo as `npm start` runs it, without a terminal: everything comes out as designed, and nothing stays behind.
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { collect, until } from "../support/processes.ts";
import { removeDirectory, temporaryDirectory } from "../support/temporary-directory.ts";

const PROGRAM = fileURLToPath(new URL("../../bin/tsbuild-top.js", import.meta.url));
const isLinux = process.platform === "linux";

describe.runIf(isLinux)("demo", () => {
  let directory: string;
  beforeEach(() => {
    directory = temporaryDirectory("demo");
    mkdirSync(join(directory, "tmp"));
  });
  afterEach(() => removeDirectory(directory));

  const environment = () => ({ PATH: process.env.PATH ?? "", HOME: directory, TMPDIR: join(directory, "tmp") });
  const left = () => ({
    directories: readdirSync(join(directory, "tmp")),
    processes: readdirSync("/proc").filter((name) => /^\d+$/.test(name) && mentions(name, directory)),
  });

  it("comes out as designed, and leaves no process and no directory", async () => {
    const ended = await collect(process.execPath, [PROGRAM, "demo"], { env: environment(), timeoutMs: 100_000 });
    expect(ended.status, ended.stdout + ended.stderr).toBe(0);
    expect(ended.stdout).toContain("demo as designed: 23 built on 3 builders and here, each in two rounds");
    expect(ended.stderr).toContain("spell-check: 1 error");
    expect(ended.stderr).toContain("differs from previous round");
    expect(left()).toEqual({ directories: [], processes: [] });
  });

  it("works without namespaces and without busybox", async ({ skip }) => {
    if (process.getuid?.() !== 0) skip("SKIPPED: hiding programs needs root");
    const hide =
      'for f in /usr/bin/busybox /usr/bin/bwrap /usr/bin/unshare; do [ ! -e $f ] || mount --bind /dev/null $f; done; exec "$@"';
    const words = ["--mount", "/bin/sh", "-c", hide, "sh", process.execPath, PROGRAM, "demo"];
    const ended = await collect("unshare", words, { env: environment(), timeoutMs: 100_000 });
    expect(ended.status, ended.stdout + ended.stderr).toBe(0);
    expect(ended.stderr).toContain("this system allows no namespaces");
    expect(left()).toEqual({ directories: [], processes: [] });
  });

  it("leaves nothing behind when it is killed", async () => {
    const { spawn } = await import("node:child_process");
    const child = spawn(process.execPath, [PROGRAM, "demo"], {
      env: environment(),
      stdio: ["ignore", "ignore", "pipe"],
    });
    let printed = "";
    child.stderr.on("data", (chunk: Buffer) => {
      printed += chunk.toString();
    });
    await until("the first remote build", () => printed.includes("on 'ssh"));
    child.kill("SIGKILL");
    await until("the builders to end", () => left().processes.length === 0 && left().directories.length === 0);
  });
});

function mentions(pid: string, text: string): boolean {
  try {
    return (
      readFileSync(`/proc/${pid}/environ`, "utf8").includes(text) ||
      readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(text)
    );
  } catch {
    return false;
  }
}
