// Memory stays flat while the board shows ten thousand log lines a second for ten minutes (SOAK_MINUTES to change that).
import { readFileSync } from "node:fs";
import { spawn } from "@lydell/node-pty";
import { expect, it } from "vitest";
import { builtFile } from "../../support/built-ui.ts";

const MINUTES = Number(process.env.SOAK_MINUTES ?? 10);
const SAMPLE_MS = 5000;

it(
  "is flat",
  async () => {
    const { CI: _ci, NO_COLOR: _noColor, ...env } = process.env;
    const program = builtFile("test/support/board-program.js");
    const terminal = spawn(process.execPath, [program, "board", "--seconds", String(MINUTES * 60)], {
      cols: 200,
      rows: 50,
      env: { ...env, TERM: "xterm-256color", LANG: "C.UTF-8" },
    });
    let isRunning = true;
    terminal.onExit(() => {
      isRunning = false;
    });
    terminal.onData(() => undefined);
    const samples: number[] = [];
    while (isRunning) {
      await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
      if (isRunning) samples.push(rssMiB(terminal.pid));
    }
    // The first fifth is warming up: buffers fill, code is compiled.
    const settled = samples.slice(Math.floor(samples.length / 5));
    const half = Math.floor(settled.length / 2);
    const before = Math.max(...settled.slice(0, half));
    const after = Math.max(...settled.slice(half));
    process.stdout.write(
      `resident memory: at most ${before.toFixed(0)} MiB in the first half, ${after.toFixed(0)} MiB in the second\n`,
    );
    expect(after).toBeLessThan(before * 1.15);
  },
  (MINUTES + 2) * 60_000,
);

function rssMiB(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? Number.NaN) / 1024;
}
