import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { systemClock } from "../../../src/engine/base/clock.ts";
import { failureOf, type ProgramEnd, runProgram } from "../../../src/engine/hooks/run-program.ts";

async function shell(
  script: string,
  options: { timeoutMs?: number; signal?: AbortSignal } = {},
): Promise<{ end: ProgramEnd; lines: string[] }> {
  const lines: string[] = [];
  const end = await runProgram(
    {
      file: "/bin/sh",
      args: ["-c", script],
      env: { PATH: "/usr/bin:/bin", GREETING: "hello" },
      cwd: "/",
      timeoutMs: options.timeoutMs ?? 0,
      user: null,
      logged: (more) => lines.push(...more),
      clock: systemClock,
    },
    options.signal ?? new AbortController().signal,
  );
  return { end, lines };
}

/** A process that was killed is kept as a zombie until the machine's init has looked. */
function isAlive(pid: string | undefined): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

describe("a hook program", () => {
  it("passes on both outputs as lines and its exit code", async () => {
    const { end, lines } = await shell("echo $GREETING; pwd; printf 'no newline'; exit 3");
    expect(lines).toEqual(["hello", "/", "no newline"]);
    expect(end).toMatchObject({ type: "exited", code: 3 });
    expect(failureOf("/hook", end)).toBe("program '/hook' failed with exit code 3");
  });

  it("inherits nothing of our environment", async () => {
    process.env.TSBT_SECRET = "secret";
    const { lines } = await shell("echo [$TSBT_SECRET]");
    expect(lines).toEqual(["[]"]);
  });

  it("is killed with everything it started when its time is over", async () => {
    const directory = mkdtempSync(join(tmpdir(), "tsbt-hook-"));
    const { end } = await shell(`(sleep 1.2; touch ${directory}/survived) & sleep 60`, { timeoutMs: 300 });
    expect(end).toMatchObject({ type: "timedOut", afterMs: 300 });
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(existsSync(join(directory, "survived"))).toBe(false);
    rmSync(directory, { recursive: true });
  });

  it("counts as it exited when only what it left behind must be killed", async () => {
    const left = await shell("sleep 61 & echo $!; exit 4", { timeoutMs: 500 });
    expect(left.end).toMatchObject({ type: "exited", code: 4 });
    expect(isAlive(left.lines[0])).toBe(false);
    const polite = await shell("trap 'exit 0' TERM; sleep 62 & wait", { timeoutMs: 500 });
    expect(polite.end).toMatchObject({ type: "timedOut" });
  });

  it("is killed when it is cancelled", async () => {
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 100);
    const { end } = await shell("sleep 60", { signal: abort.signal });
    expect(end.type).toBe("cancelled");
  });

  it("says why it could not be started", async () => {
    const end = await runProgram(
      {
        file: "/does/not/exist",
        args: [],
        env: {},
        cwd: "/",
        timeoutMs: 0,
        user: null,
        logged: () => undefined,
        clock: systemClock,
      },
      new AbortController().signal,
    );
    expect(failureOf("/does/not/exist", end)).toMatch(/could not be started.*ENOENT/);
  });

  it("cuts an endless line instead of keeping it", async () => {
    const { lines } = await shell("head -c 200000 /dev/zero | tr '\\0' x");
    expect(lines.length).toBeGreaterThan(2);
    expect(lines.join("").length).toBe(200000);
  });
});
