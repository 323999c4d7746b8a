// Keeps paths of a daemon's store alive to the end of a run, on a separate connection: the others may have to be closed meanwhile.
import type { StorePath } from "../../formats/store-path.ts";
import type { WorkerConnection } from "../../protocols/worker/client.ts";

/** Temporary roots live as long as the connection that holds them. */
export class RootKeeper {
  readonly #open: () => Promise<WorkerConnection>;
  readonly #kept = new Set<StorePath>();
  #connection: Promise<WorkerConnection> | null = null;
  #closed = false;

  /** @param open an unshared connection */
  constructor(open: () => Promise<WorkerConnection>) {
    this.#open = open;
  }

  /** Whether anything is kept. */
  get isUsed(): boolean {
    return this.#connection !== null;
  }

  async add(paths: readonly StorePath[]): Promise<void> {
    for (const path of paths) this.#kept.add(path);
    const current = await this.#connection?.catch(() => null);
    if (current !== null && current !== undefined && !current.broken) await current.addTempRoots(paths);
    else await this.#again();
  }

  /** Stops keeping these paths, so that they may be collected. */
  forget(paths: readonly StorePath[]): void {
    for (const path of paths) this.#kept.delete(path);
  }

  /** Runs `work` while nothing is kept. */
  async without<T>(work: () => Promise<T>): Promise<T> {
    (await this.#connection?.catch(() => null))?.close();
    try {
      return await work();
    } finally {
      if (!this.#closed) await this.#again();
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    (await this.#connection?.catch(() => null))?.close();
  }

  async #again(): Promise<void> {
    this.#connection = this.#open();
    await (await this.#connection).addTempRoots(this.#kept);
  }
}
