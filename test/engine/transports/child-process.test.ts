import { describe, expect, it } from "vitest";
import { systemClock } from "../../../src/engine/base/clock.ts";
import { childProcessOpener } from "../../../src/engine/transports/child-process.ts";
import type { Transport } from "../../../src/engine/transports/transport.ts";
import { type PeerKind, transportContract } from "../../contracts/transport.ts";

const PEERS: Record<PeerKind, [string, ...string[]]> = {
  echo: ["cat"],
  silent: ["sleep", "30"],
  leaves: ["sh", "-c", "read line; echo bye >&2; exit 7"],
};

function run(command: readonly [string, ...string[]], stopGraceMs = 50): Promise<Transport> {
  return childProcessOpener({ command, environment: process.env, clock: systemClock, stopGraceMs }).open();
}

async function textOf(transport: Transport): Promise<string> {
  let text = "";
  for await (const chunk of transport.input) text += Buffer.from(chunk).toString();
  return text;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function gone(pid: number): Promise<boolean> {
  for (let i = 0; i < 200 && isAlive(pid); i++) await new Promise((resolve) => setTimeout(resolve, 10));
  return !isAlive(pid);
}

async function firstLine(transport: Transport): Promise<string> {
  let text = "";
  for await (const chunk of transport.input) {
    text += Buffer.from(chunk).toString();
    if (text.includes("\n")) break;
  }
  return text.trim();
}

transportContract("a child process", (kind) => run(PEERS[kind]), { hasStderr: true, hasExitCode: true });

describe("a child process", () => {
  it("is told of a close by the end of its input, long before SIGTERM", async () => {
    const transport = await run(["sh", "-c", "echo $$; cat >/dev/null; exit 0"], 60_000);
    const pid = Number(await firstLine(transport));
    transport.close();
    expect(await gone(pid)).toBe(true);
  });

  it("is sent SIGTERM, with its whole group, when it does not go by itself", async () => {
    const transport = await run(["sh", "-c", "sleep 60 & echo $!; wait"], 30);
    const grandchild = Number(await firstLine(transport));
    expect(isAlive(grandchild)).toBe(true);
    transport.close();
    expect(await gone(grandchild)).toBe(true);
  });

  it("is never killed outright", async () => {
    const transport = await run(
      ["sh", "-c", "trap '' TERM; echo $$; i=0; while [ $i -lt 8 ]; do sleep 0.1; i=$((i+1)); done"],
      10,
    );
    const pid = Number(await firstLine(transport));
    transport.close();
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(isAlive(pid)).toBe(true);
    expect(await gone(pid)).toBe(true);
  });

  it("reports the signal that ended it, and keeps the last 4 KiB of what it said", async () => {
    const transport = await run([
      "sh",
      "-c",
      "head -c 100000 /dev/zero | tr '\\0' 'x' >&2; echo end >&2; kill -TERM $$",
    ]);
    expect(await textOf(transport)).toBe("");
    expect(await transport.closed).toEqual({ type: "closedThere", exitCode: null, signal: "SIGTERM" });
    expect(transport.stderrTail().length).toBe(4096);
    expect(transport.stderrTail().endsWith("xend\n")).toBe(true);
  });

  it("says which program is missing", async () => {
    await expect(run(["no-such-program-here", "--stdio"])).rejects.toMatchObject({
      code: "CHILD_NOT_FOUND",
      message: "cannot start 'no-such-program-here': command not found",
    });
  });

  it("ends all its programs when the opener is closed", async () => {
    const opener = childProcessOpener({
      command: ["cat"],
      environment: process.env,
      clock: systemClock,
      stopGraceMs: 50,
    });
    const both = [await opener.open(), await opener.open()];
    opener.close();
    for (const transport of both) expect(await transport.closed).toEqual({ type: "closedHere" });
  });
});
