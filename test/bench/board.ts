// What drawing the board costs: 30 lanes, the model fed ten times a second with 10,000 log lines a second, beside the same run shown quietly;
// and how long a key and the first frame take, read from the terminal.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { spawn } from "@lydell/node-pty";
import { builtFile } from "../support/built-ui.ts";
import { createScreen } from "../support/screen.ts";
import type { Measurement } from "./support/measurement.ts";
import { median } from "./support/measurement.ts";

const COLUMNS = 200;
const ROWS = 50;
const SECONDS = 10;
const KEYS = 80;
const STARTS = 7;

const CPU_BAR = 15;
const KEY_BAR = 50;
const FRAME_BAR = 400;

interface Run {
  /** CPU of the program in percent of one core. */
  readonly percent: number;
  readonly rssMiB: number;
  readonly keysMs: readonly number[];
}

export async function measure(): Promise<readonly Measurement[]> {
  // Compiled, and the compile cache warmed, before anything is timed.
  const bare = bareStart();
  await firstFrame();
  const quiet = await run("quiet", SECONDS, false);
  const board = await run("board", SECONDS, false);
  const keyed = await run("board", SECONDS, true);
  const drawing = board.percent - quiet.percent;
  const starts: number[] = [];
  for (let start = 0; start < STARTS; start++) starts.push(await firstFrame());
  const started = median(starts);
  const keys = [...keyed.keysMs].sort((one, other) => one - other);
  const p95 = keys[Math.ceil(keys.length * 0.95) - 1] ?? Number.NaN;
  return [
    {
      what: "drawing 30 lanes, 10,000 log lines/s",
      ours: `${board.percent.toFixed(1)} % of a core`,
      peer: `--ui quiet ${quiet.percent.toFixed(1)} %`,
      ratio: `${drawing.toFixed(1)} points more`,
      bar: `<= ${CPU_BAR} points`,
      met: drawing <= CPU_BAR,
    },
    {
      what: `key to frame under that load, ${keys.length} keys`,
      ours: `p95 ${p95.toFixed(0)} ms`,
      peer: `median ${median(keys).toFixed(0)} ms`,
      ratio: "-",
      bar: `<= ${KEY_BAR} ms`,
      met: p95 <= KEY_BAR,
    },
    {
      what: "first frame of the board, compile cache warm",
      ours: `${started.toFixed(0)} ms`,
      peer: `node alone ${bare.toFixed(0)} ms`,
      ratio: `${(started / bare).toFixed(1)} x`,
      bar: `<= ${FRAME_BAR} ms`,
      met: started <= FRAME_BAR,
    },
    {
      what: "memory of that run",
      ours: `${board.rssMiB.toFixed(0)} MiB`,
      peer: `--ui quiet ${quiet.rssMiB.toFixed(0)} MiB`,
      ratio: `${(board.rssMiB / quiet.rssMiB).toFixed(1)} x`,
      bar: "-",
      met: true,
    },
  ];
}

/** One run in a terminal of its own; with keys, the time from each press until the selection has moved on the screen. */
async function run(kind: "board" | "quiet", seconds: number, withKeys: boolean): Promise<Run> {
  const directory = mkdtempSync(join(tmpdir(), "tsbuild-top-bench-"));
  const report = join(directory, "report.jsonl");
  const screen = createScreen(COLUMNS, ROWS);
  const terminal = spawn(
    process.execPath,
    [builtFile("test/support/board-program.js"), kind, "--seconds", String(seconds), "--report", report],
    terminalOptions(),
  );
  let onData: () => void = () => undefined;
  terminal.onData((data) => {
    screen.write(data);
    onData();
  });
  const ended = new Promise<void>((resolve) => terminal.onExit(() => resolve()));
  const keysMs: number[] = [];
  const selectedRow = (): number => screen.rows().findIndex((row) => row.startsWith("❯"));
  if (withKeys) {
    await sleep(4000);
    for (let key = 0; key < KEYS; key++) {
      await screen.settled();
      const before = selectedRow();
      const pressedAt = performance.now();
      const moved = new Promise<void>((resolve) => {
        onData = () => void screen.settled().then(() => selectedRow() !== before && resolve());
      });
      terminal.write(key % 40 < 20 ? "j" : "k");
      await Promise.race([moved, sleep(1000)]);
      keysMs.push(performance.now() - pressedAt);
      // Not in step with the frames.
      await sleep(40 + ((key * 37) % 60));
    }
    onData = () => undefined;
  }
  await ended;
  const lines = readFileSync(report, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { percent?: number; rssMiB?: number });
  const figures = lines.find((line) => line.percent !== undefined);
  rmSync(directory, { recursive: true });
  screen.dispose();
  return {
    percent: figures?.percent ?? Number.NaN,
    rssMiB: figures?.rssMiB ?? Number.NaN,
    keysMs,
  };
}

/** From the start of the program until its first frame is on the terminal. */
function firstFrame(): Promise<number> {
  const program = builtFile("test/support/board-program.js");
  const startedAt = performance.now();
  const terminal = spawn(process.execPath, [program, "board", "--scene", "busy"], terminalOptions());
  let took = Number.NaN;
  terminal.onData((data) => {
    if (!Number.isNaN(took) || !data.includes("tsbuild-top")) return;
    took = performance.now() - startedAt;
    terminal.kill();
  });
  return new Promise((resolve) => terminal.onExit(() => resolve(took)));
}

/** A terminal of its own, in which a person seems to sit. */
function terminalOptions(): { cols: number; rows: number; env: NodeJS.ProcessEnv } {
  const { CI: _ci, NO_COLOR: _noColor, ...env } = process.env;
  return { cols: COLUMNS, rows: ROWS, env: { ...env, TERM: "xterm-256color", LANG: "C.UTF-8" } };
}

/** Node with nothing to do, from start to end. */
function bareStart(): number {
  const startedAt = performance.now();
  spawnSync(process.execPath, ["-e", ""]);
  return performance.now() - startedAt;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
