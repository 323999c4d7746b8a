import { expect, it } from "vitest";
import { hearBuild } from "../../../src/engine/protocols/build-log.ts";
import type { LogFrame } from "../../../src/engine/protocols/log-frame.ts";

function heardOf(...frames: LogFrame[]): string[] {
  const heard: string[] = [];
  hearBuild({
    started: () => heard.push("started"),
    phase: (name) => heard.push(`phase ${name}`),
    logged: (lines) => heard.push(...lines.map((line) => `| ${line}`)),
    noticed: (message) => heard.push(`notice ${message}`),
  })(frames);
  return heard;
}

const start = (id: bigint, activity: number, text: string): LogFrame => ({
  ...{ type: "start", id, level: 1, activity, text, fields: [], parent: 0n },
});

it("a build that waits for a lock says so, and what becomes of it", () => {
  expect(
    heardOf(
      start(7n, 111, "waiting for lock on '\u001b[35;1m/nix/store/x\u001b[0m'"),
      { type: "stop", id: 8n },
      { type: "stop", id: 7n },
      start(9n, 105, "building '/nix/store/x.drv'"),
      { type: "stop", id: 9n },
    ),
  ).toEqual(["phase waiting for lock", "notice waiting for lock on '/nix/store/x'", "phase building", "started"]);
});
