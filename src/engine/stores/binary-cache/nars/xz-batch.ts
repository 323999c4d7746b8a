// Compresses and decompresses many small files with few runs of xz: starting the program costs more than its work on one file.
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { EngineError, messageOf } from "../../../base/errors.ts";

/** Maximum number of files per run. */
const MOST_FILES = 64;

interface Task {
  readonly input: Uint8Array;
  /** Expected output in bytes; null when compressing. */
  readonly size: number | null;
  readonly resolve: (output: Buffer) => void;
  readonly reject: (error: unknown) => void;
}

interface Lane {
  readonly waiting: Task[];
  running: number;
  readonly run: (tasks: readonly Task[]) => Promise<void>;
}

/**
 * One lane for each kind of task. While as many runs as cores are in progress, new tasks wait and then run together, so that nothing waits
 * under light load and few processes start under heavy load.
 */
const lanes = new Map<string, Lane>();

/**
 * Compresses bytes.
 * @param level null: xz's default
 * @param directory for temporary files
 * @throws EngineError `COMPRESSION_FAILED`, `COMPRESSION_PROGRAM_MISSING`
 */
export function xzPack(input: Uint8Array, level: number | null, directory: string): Promise<Buffer> {
  const run = (tasks: readonly Task[]): Promise<void> => packAll(tasks, level, directory);
  return enqueue(`pack ${level} ${directory}`, run, input, null);
}

/** Decompresses bytes to exactly `size` bytes. Throws like {@link xzPack}, and `COMPRESSION_TOO_LARGE`, `COMPRESSION_TOO_SMALL` for another size. */
export function xzUnpack(input: Uint8Array, size: number): Promise<Buffer> {
  return enqueue("unpack", unpackAll, input, size);
}

function enqueue(key: string, run: Lane["run"], input: Uint8Array, size: number | null): Promise<Buffer> {
  const lane = lanes.get(key) ?? { waiting: [], running: 0, run };
  lanes.set(key, lane);
  return new Promise((resolve, reject) => {
    lane.waiting.push({ input, size, resolve, reject });
    // Tasks of the same turn go together.
    setImmediate(() => proceed(lane));
  });
}

function proceed(lane: Lane): void {
  while (lane.waiting.length > 0 && lane.running < availableParallelism()) {
    const tasks = lane.waiting.splice(0, MOST_FILES);
    lane.running += 1;
    lane
      .run(tasks)
      .catch((error: unknown) => {
        for (const task of tasks) task.reject(error);
      })
      .finally(() => {
        lane.running -= 1;
        proceed(lane);
      });
  }
}

async function packAll(tasks: readonly Task[], level: number | null, directory: string): Promise<void> {
  const folder = await mkdtemp(join(directory, "tsbuild-top-xz-"));
  try {
    await Promise.all(tasks.map(({ input }, index) => writeFile(join(folder, `${index}`), input)));
    await xz(
      ["-T1", ...(level === null ? [] : [`-${level}`]), ...tasks.map((_, index) => `${index}`)],
      null,
      folder,
      0,
    );
    await Promise.all(tasks.map(async (task, index) => task.resolve(await readFile(join(folder, `${index}.xz`)))));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Concatenated files decompress to their concatenated contents; if the sizes do not add up, decompresses each alone. */
async function unpackAll(tasks: readonly Task[]): Promise<void> {
  const expected = tasks.reduce((sum, task) => sum + (task.size ?? 0), 0);
  const whole = await xz(["-d", "-c", "--memlimit-decompress=512MiB"], tasks, "/", expected).catch((error: unknown) => {
    if (error instanceof EngineError && error.code === "COMPRESSION_PROGRAM_MISSING") throw error;
    return { error };
  });
  if (Buffer.isBuffer(whole) && whole.length === expected) {
    let at = 0;
    for (const { size, resolve } of tasks) {
      resolve(whole.subarray(at, at + (size ?? 0)));
      at += size ?? 0;
    }
    return;
  }
  if (tasks.length > 1) {
    for (const task of tasks) await unpackAll([task]).catch(task.reject);
    return;
  }
  if (!Buffer.isBuffer(whole)) throw whole.error;
  throw wrongSize("xz", expected, whole.length);
}

/** The error for an output of the wrong size; null stands for "more than could be counted". */
export function wrongSize(name: string, expected: number, found: number | null): EngineError {
  const [code, words] =
    found === null || found > expected
      ? (["COMPRESSION_TOO_LARGE", "more"] as const)
      : (["COMPRESSION_TOO_SMALL", `${found}`] as const);
  return new EngineError("store", code, `${name}: expected ${expected} bytes, found ${words}`);
}

/** Runs xz and returns its output, cut one byte after `most`, when xz is killed. */
function xz(args: readonly string[], inputs: readonly Task[] | null, cwd: string, most: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const child = spawn("xz", args, { cwd, stdio: ["pipe", "pipe", "pipe"] });
    const chunks: Buffer[] = [];
    let size = 0;
    let complaint = "";
    const output = (): Buffer => Buffer.concat(chunks).subarray(0, most + 1);
    child.on("error", (cause) => {
      reject(
        new EngineError("store", "COMPRESSION_PROGRAM_MISSING", `cannot run 'xz': ${messageOf(cause)}`, {
          hint: "install xz (Debian: xz-utils), or use compression=zstd for caches you write",
          cause,
        }),
      );
    });
    child.stdout.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      size += chunk.length;
      if (inputs !== null && size > most) child.kill("SIGKILL");
    });
    child.stderr.on("data", (chunk: Buffer) => {
      complaint = (complaint + chunk.toString()).slice(0, 2000);
    });
    child.stdin.on("error", () => undefined);
    for (const { input } of inputs ?? []) child.stdin.write(input);
    child.stdin.end();
    child.on("close", (code, signal) => {
      if (code === 0 || (inputs !== null && size > most)) resolve(output());
      else {
        const why = complaint.replace(/\s+/g, " ").trim() || `it ended with ${signal ?? `status ${code}`}`;
        reject(new EngineError("store", "COMPRESSION_FAILED", why.startsWith("xz:") ? why : `xz: ${why}`));
      }
    });
  });
}
