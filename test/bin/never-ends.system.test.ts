// An evaluation that never ends is ended by whoever started it, and leaves no process behind.
import { spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ended, until } from "../support/processes.ts";
import { type ProgramUser, programUser } from "../support/program.ts";
import { removeDirectory, temporaryDirectory } from "../support/temporary-directory.ts";

const MAIN = join(import.meta.dirname, "../../bin/main.ts");

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
