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

it("an error that Nix 2.8 has written in its own form is read", () => {
  const line = (text: string): LogFrame => ({ type: "result", id: 9n, result: 101, fields: [text] });
  const message = "executing '\u001b[35;1m/bin/sh\u001b[0m': \u001b[35;1mNo such file or directory\u001b[0m";
  const text = (value: string) =>
    `${String.fromCharCode(value.length)}\0\0\0\0\0\0\0${value}${"\0".repeat((8 - (value.length % 8)) % 8)}`;
  const written = `${text("Error")}${"\0".repeat(8)}${text("Error")}${text(message)}${"\0".repeat(16)}`;
  expect(heardOf(line("before"), line("\u0001"), line(written), line("Error: after"))).toEqual([
    "| before",
    "| error: executing '/bin/sh': No such file or directory",
    "| Error: after",
  ]);
});
