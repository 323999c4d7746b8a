// What never ends by itself is ended by whoever started it, and leaves no process behind.
import { spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { collect, ended, until } from "../support/processes.ts";
import { type ProgramUser, programUser } from "../support/program.ts";
import { removeDirectory, temporaryDirectory } from "../support/temporary-directory.ts";
import { startTmux } from "../support/tmux.ts";
import { hasPrograms } from "../support/tools.ts";

const MAIN = join(import.meta.dirname, "../../bin/main.ts");
// The board is compiled.
const COMPILED = join(import.meta.dirname, "../../dist/bin/main.js");

describe("a build file that never ends", () => {
  let directory: string;
  let user: ProgramUser;

  beforeEach(() => {
    directory = temporaryDirectory("endless");
    user = programUser(join(directory, "home"));
  });
  afterEach(() => removeDirectory(directory));

  it.each([
    ["SIGTERM once", ["SIGTERM"]],
    ["Ctrl-C", ["SIGINT"]],
    ["Ctrl-C twice, though it does not listen to SIGTERM", ["SIGINT", "SIGINT"]],
  ] as const)("is ended by %s", async (_, signals) => {
    const pidFile = join(directory, "pid");
    writeFileSync(
      join(directory, "endless.ts"),
      `import { writeFileSync } from "node:fs";
process.on("SIGTERM", () => undefined);
writeFileSync(${JSON.stringify(pidFile)}, String(process.pid));
await new Promise(() => setInterval(() => undefined, 1000));
export default {};
`,
    );
    const args = [MAIN, "build", "-f", "endless.ts", "--store", join(directory, "store"), "--ui", "plain"];
    const child = spawn(process.execPath, args, { cwd: directory, env: user.env, stdio: "ignore" });
    await until("the build file to run", () => existsSync(pidFile) && readFileSync(pidFile, "utf8") !== "", 30_000);
    const evaluator = Number(readFileSync(pidFile, "utf8"));
    for (const signal of signals) child.kill(signal);
    await ended(child);
    expect(child.exitCode ?? child.signalCode).not.toBe(0);
    await until("the evaluator to be gone", () => !existsSync(`/proc/${evaluator}`), 5_000);
  });
});

describe.skipIf(!hasPrograms("tmux"))("a board that stays open (skipped without tmux)", () => {
  it.each([
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const)("after a run that failed early is left by %s", async (signal, status) => {
    const directory = temporaryDirectory("left");
    const user = programUser(join(directory, "home"));
    writeFileSync(join(directory, "bad.ts"), 'throw new Error("no such thing");\n');
    const record = join(directory, "run.jsonl");
    const args = ["build", "-f", "bad.ts", "--store", join(directory, "store"), "--ui", "board", "--record", record];
    await using board = await startTmux([process.execPath, COMPILED, ...args], {
      columns: 80,
      rows: 24,
      env: user.env as Record<string, string>,
      cwd: directory,
    });
    // Why it failed is there to be read as long as the board is open.
    await board.waitFor(/failed \(1\)[\s\S]*no such thing/, 30_000);
    await until("the end of the run", () => readFileSync(record, "utf8").includes('"runFinished"'));
    process.kill(board.pid, signal);
    expect(await board.exited()).toBe(status);
    expect(JSON.parse(readFileSync(record, "utf8").trimEnd().split("\n").at(-1) ?? "")).toMatchObject({
      type: "runFinished",
    });
    removeDirectory(directory);
  });
});

describe("a place that cannot be made", () => {
  it("is an error, and not tried for ever", async () => {
    const directory = temporaryDirectory("nowhere");
    const user = programUser(join(directory, "home"));
    writeFileSync(
      join(directory, "default.ts"),
      'import { derivation } from "tsbuild-top";\nexport default derivation({ name: "x", system: "x86_64-linux", builder: "/bin/sh", args: ["-c", "echo > $out"] });\n',
    );
    const args = [MAIN, "build", "--store", join(directory, "store"), "--upload-to", "file:///proc/nowhere/cache"];
    const { status, stderr } = await collect(process.execPath, args, { cwd: directory, env: user.env });
    expect([status, stderr]).toEqual([1, expect.stringContaining("/proc/nowhere/cache")]);
    removeDirectory(directory);
  });
});
