// Roots that live as long as this process: `temproots/<pid>`, locked by us, and reported to a running collector over its socket.

import { once } from "node:events";
import { closeSync, constants, fstatSync, openSync, unlinkSync, writeSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import type { Clock } from "../../../base/clock.ts";
import { EngineError } from "../../../base/errors.ts";
import { isStorePath, type StorePath } from "../../../formats/store-path.ts";
import { hasCode } from "../files/file-tree.ts";
import { flock } from "../files/flock.ts";
import type { StoreLayout } from "../layout.ts";
import type { GcLock } from "./gc-lock.ts";

/** Greater than every process id, for a second opener within one process (a worker thread, another process id namespace). */
const FIRST_SPARE_NUMBER = 1_000_000_000;
/** Pause (milliseconds) before contacting a collector again that has just ended. */
const RETRY_PAUSE = 20;
/** How long (milliseconds) a collector may take for one answer: it may be deleting this very path. */
const ANSWER_PATIENCE = 600_000;

/** The temporary roots of one open store. */
export class TempRoots {
  readonly #layout: StoreLayout;
  readonly #gcLock: GcLock;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #known = new Set<StorePath>();
  #file: Promise<{ readonly path: string; readonly descriptor: number }> | null = null;

  constructor(layout: StoreLayout, gcLock: GcLock, clock: Clock, random: () => number) {
    this.#layout = layout;
    this.#gcLock = gcLock;
    this.#clock = clock;
    this.#random = random;
  }

  /** Whether this process keeps the path alive. */
  has(path: StorePath): boolean {
    return this.#known.has(path);
  }

  /**
   * Keeps the paths alive until {@link TempRoots.close}; they need not be valid yet. Once it resolves, no collector deletes them.
   * @throws EngineError `STORE_FLOCK_FAILED`, `STORE_COLLECTOR_SILENT`; system errors.
   */
  async add(paths: Iterable<StorePath>): Promise<void> {
    const fresh = [...new Set(paths)].filter((path) => !this.#known.has(path));
    if (fresh.length === 0) return;
    this.#file ??= this.#open();
    const { descriptor } = await this.#file;
    const text = fresh.map((path) => `${path}\0`).join("");
    while (!(await this.#gcLock.whileNoCollector(() => append(descriptor, text)))) {
      if (await this.#tellCollector(fresh)) {
        append(descriptor, text);
        break;
      }
      await new Promise<void>((resolve) => this.#clock.after(RETRY_PAUSE, resolve));
    }
    for (const path of fresh) this.#known.add(path);
  }

  /** Releases all roots. */
  async close(): Promise<void> {
    const file = await this.#file?.catch(() => null);
    this.#file = null;
    this.#known.clear();
    if (file === null || file === undefined) return;
    try {
      unlinkSync(file.path);
    } catch (error) {
      if (!hasCode(error, "ENOENT")) throw error;
    }
    closeSync(file.descriptor);
  }

  async #open(): Promise<{ readonly path: string; readonly descriptor: number }> {
    let number = process.pid;
    while (true) {
      const path = `${this.#layout.tempRootsDir}/${number}`;
      const descriptor = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_APPEND, 0o600);
      try {
        if (!(await flock([descriptor], "exclusive", false))) {
          // Either a collector is checking whether the owner lives, or another process uses this number.
          closeSync(descriptor);
          number = FIRST_SPARE_NUMBER + Math.floor(this.#random() * FIRST_SPARE_NUMBER);
          continue;
        }
      } catch (error) {
        closeSync(descriptor);
        throw error;
      }
      if (fstatSync(descriptor).size === 0) return { path, descriptor };
      // Left by a dead process with this number, or just deleted and marked by a collector.
      try {
        unlinkSync(path);
      } catch (error) {
        if (!hasCode(error, "ENOENT")) throw error;
      }
      closeSync(descriptor);
    }
  }

  /** Reports roots to the running collector; false when it has ended meanwhile. */
  async #tellCollector(paths: readonly StorePath[]): Promise<boolean> {
    const socket = createConnection(this.#layout.gcSocket);
    const silent = this.#clock.after(ANSWER_PATIENCE, () => {
      socket.destroy(
        new EngineError("store", "STORE_COLLECTOR_SILENT", "the garbage collector of this store does not answer", {
          hint: "See what the process holding gc.lock is doing.",
        }),
      );
    });
    try {
      await once(socket, "connect");
      socket.write(paths.map((path) => `${path}\n`).join(""));
      return await acknowledged(socket, paths.length);
    } catch (error) {
      if (hasCode(error, "ECONNREFUSED", "ENOENT", "EPIPE", "ECONNRESET")) return false;
      throw error;
    } finally {
      silent();
      socket.destroy();
    }
  }
}

/** The paths in a temporary roots file; ignores one that a crash cut short. */
export function parseTempRoots(contents: string): StorePath[] {
  return contents.split("\0").slice(0, -1).filter(isStorePath);
}

/** Waits for one `1` per path; false when the other side closes first. */
async function acknowledged(socket: Socket, count: number): Promise<boolean> {
  let answers = 0;
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    answers += chunk.length;
    if (answers >= count) return true;
  }
  return false;
}

function append(descriptor: number, text: string): void {
  const bytes = Buffer.from(text, "latin1");
  let done = 0;
  while (done < bytes.length) done += writeSync(descriptor, bytes, done);
}
