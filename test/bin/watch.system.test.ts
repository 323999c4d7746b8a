// `watch` as a user runs it: over a real nix-build, over a log that is piped in, over a file, and on a terminal.
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseRecording } from "../../src/engine/events/recording.ts";
import { expectGrammar } from "../support/event-grammar.ts";
import { collect, ended, until } from "../support/processes.ts";
import { type ProgramUser, programUser } from "../support/program.ts";
import { removeDirectory, temporaryDirectory } from "../support/temporary-directory.ts";
import { startTmux } from "../support/tmux.ts";
import { hasPrograms } from "../support/tools.ts";

const MAIN = join(import.meta.dirname, "../../bin/main.ts");
const COMPILED = join(import.meta.dirname, "../../dist/bin/main.js");
const LOG = join(import.meta.dirname, "../fixtures/logs/2.34/local.log");

const usable = hasPrograms("nix-build", "tmux", "busybox") && process.getuid?.() === 0;

describe.skipIf(!usable)("watch (skipped without root, nix-bin, tmux and busybox-static)", () => {
  let directory: string;
  let user: ProgramUser;
  let nix: string[];
  const run = (args: readonly string[], input = "") =>
    collect(process.execPath, [MAIN, "watch", ...args], { cwd: directory, env: user.env, input });

  beforeAll(() => {
    directory = temporaryDirectory("watch");
    user = programUser(join(directory, "home"));
    writeFileSync(
      join(directory, "default.nix"),
      `let
  build = name: script: derivation {
    inherit name;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" "echo building \${name}; \${script}" ];
  };
  good = build "good" "echo fine > $out";
in {
  inherit good;
  top = build "top" "read line < \${good}; echo $line > $out";
  bad = build "bad" "echo no such thing; exit 3";
  slow = build "slow" "echo begun; read line < /dev/full";
  endless = build "endless" "while :; do :; done";
}
`,
    );
    nix = ["nix-build", "--store", join(directory, "store"), "--no-out-link", "--option", "substituters", ""];
    nix.push("--option", "build-users-group", "", "--option", "sandbox-paths", "/bin/sh=/bin/busybox");
  });
  afterAll(() => removeDirectory(directory));

  it("runs a command: its output is its own, its builds are shown, its status is ours", async () => {
    const record = join(directory, "run.jsonl");
    const good = await run(["--ui", "plain", "--record", record, "--", ...nix, "-A", "top"]);
    expect([good.status, good.stdout]).toEqual([0, expect.stringMatching(/^\/nix\/store\/\w{32}-top\n$/)]);
    expect(good.stderr).toContain("built: 2 here");
    const { events } = parseRecording(readFileSync(record, "utf8").split("\n"), record);
    expectGrammar(events);
    expect(events.flatMap(({ event }) => (event.type === "buildLogged" ? event.lines : []))).toEqual([
      "building good",
      "building top",
    ]);
    const bad = await run(["--ui", "plain", "--", ...nix, "-A", "bad"]);
    const alone = await collect("nix-build", [...nix.slice(1), "-A", "bad"], { cwd: directory, env: user.env });
    expect([bad.status, alone.status]).toEqual([100, 100]);
    expect(bad.stderr).toContain("> no such thing");
    expect((await run(["--ui", "plain", "--", ...nix, "-A", "nowhere"])).stderr).toMatch(/attribute.*nowhere/);
  });

  it("says what cannot be run or read", async () => {
    const missing = await run(["--", "no-such-program"]);
    expect([missing.status, missing.stderr]).toEqual([1, expect.stringContaining("cannot run 'no-such-program'")]);
    const file = await run([join(directory, "nowhere.log")]);
    expect([file.status, file.stderr]).toEqual([1, expect.stringContaining("cannot read the log")]);
    expect((await run(["--"])).stderr).toContain("expected a command behind '--'");
    expect((await run(["a.log", "--", "nix"])).stderr).toContain("found both");
  });

  it("reads a log from a pipe or a file, and says by its status whether that ended well", async () => {
    for (const given of [await run(["--ui", "plain"], readFileSync(LOG, "utf8")), await run(["--ui", "plain", LOG])]) {
      expect(given.status).toBe(1);
      expect(given.stderr).toContain("2 built, 1 failed, 1 not built");
    }
    const good = readFileSync(join(LOG, "../stamp.log"), "utf8");
    expect((await run(["--ui", "plain"], good)).status).toBe(0);
  });

  it("goes as far with the log for people as that goes", async () => {
    const human = await collect("nix-build", [...nix.slice(1), "-A", "top", "-A", "bad", "-k"], {
      cwd: directory,
      env: user.env,
    });
    const { status, stderr } = await run(["--ui", "plain"], human.stderr);
    expect(status).toBe(1);
    expect(stderr).toContain("1 failed");
    expect(stderr).toContain("-bad.drv' failed with exit code 3");
  });

  it("ends the command it runs when it is ended", async () => {
    const args = [MAIN, "watch", "--ui", "plain", "--", ...nix, "-A", "endless"];
    const child = spawn(process.execPath, args, { cwd: directory, env: user.env, stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr.on("data", (chunk: Buffer) => {
      said += chunk.toString();
    });
    await until("the build", () => said.includes("building '"), 60_000);
    child.kill("SIGTERM");
    await ended(child);
    expect(child.exitCode).not.toBe(0);
  });

  it("shows the board, where keys that change nothing say why", async () => {
    const args = [COMPILED, "watch", "--", ...nix, "-A", "endless"];
    await using board = await startTmux([process.execPath, ...args], {
      columns: 100,
      rows: 24,
      env: user.env as Record<string, string>,
      cwd: directory,
    });
    await board.waitFor(/local[\s\S]*endless/, 60_000);
    await board.waitFor("building");
    await board.sendKeys("x");
    await board.waitFor("this is only watched");
    await board.sendKeys("C-c");
    await board.sendKeys("C-c");
    expect(await board.exited(30_000)).not.toBe(0);
  });
});
