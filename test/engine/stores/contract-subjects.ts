// The stores the contract is run against that need nothing but Node: made anew at each opening, over a place that stays.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../../src/engine/base/clock.ts";
import { serveServe } from "../../../src/engine/protocols/serve/server.ts";
import { serveWorker } from "../../../src/engine/protocols/worker/server.ts";
import { FileObjects } from "../../../src/engine/stores/binary-cache/objects/file.ts";
import type { EmbeddedStore } from "../../../src/engine/stores/embedded/embedded-store.ts";
import { exposeStore } from "../../../src/engine/stores/exposed/expose.ts";
import { queryOptions } from "../../../src/engine/stores/remote/client-options.ts";
import { ServeStore } from "../../../src/engine/stores/remote/serve-store.ts";
import { WorkerStore } from "../../../src/engine/stores/remote/worker-store.ts";
import type { Transport, TransportOpener } from "../../../src/engine/transports/transport.ts";
import type { Shortcomings, StoreTraits } from "../../contracts/store.ts";
import { memoryPair } from "../../support/memory-transport.ts";

/** The version a served store says it is. */
export const SERVED_VERSION = "2.34.8";

/** A client of the worker protocol over any transport. */
export function workerStore(uri: string, open: () => Promise<Transport>): WorkerStore {
  return new WorkerStore({
    uri,
    opener: openerOf(uri, open),
    clock: systemClock,
    maxBuilds: 2,
    explain: async (error) => error,
    queryOptions: queryOptions(false, false, new Map()),
    machineCores: async () => 1,
    buildOverrides: new Map(),
    readDirectly: null,
  });
}

/** A client of the serve protocol over any transport. */
export function serveStore(uri: string, open: () => Promise<Transport>): ServeStore {
  return new ServeStore({
    uri,
    opener: openerOf(uri, open),
    clock: systemClock,
    maxBuilds: 2,
    explain: async (error) => error,
  });
}

function openerOf(name: string, open: () => Promise<Transport>): TransportOpener {
  return { name, open, heard: () => null, close: () => undefined };
}

const defaults = { keepFailed: false, maxSilentTime: 0, timeout: 0, maxLogSize: 0n };
let activities = 0n;

const serving = new Set<Promise<void>>();

function endsWith(store: EmbeddedStore, served: Promise<void>): void {
  const ending = served.then(() => store.close()).finally(() => serving.delete(ending));
  serving.add(ending);
}

/** Waits until every store that was served is closed; fails as they do. */
export async function servingEnded(): Promise<void> {
  await Promise.all(serving);
}

/** Connects to a store as a daemon would let one: it is closed when the connection has ended (Nix: one process a connection). */
export async function overWorker(opening: Promise<EmbeddedStore>): Promise<Transport> {
  const store = await opening;
  const [near, far] = memoryPair();
  const firstActivity = ++activities << 20n;
  const options = { trusted: true, nixVersion: SERVED_VERSION, firstActivity };
  endsWith(
    store,
    serveWorker(far, exposeStore(store, { defaults }), options).catch(() => undefined),
  );
  return near;
}

/** Connects to a store as `nix-store --serve --write` would let one. What goes to standard error there is heard here. */
export async function overServe(opening: Promise<EmbeddedStore>): Promise<Transport> {
  const store = await opening;
  const [near, far] = memoryPair();
  const [stderr, printed] = memoryPair();
  let tail = "";
  const log = (text: string): void => {
    tail = (tail + text).slice(-4096);
    printed.write(Buffer.from(text)).catch(() => undefined);
  };
  const options = { allowWrite: true, trusted: true, log };
  endsWith(
    store,
    serveServe(far, exposeStore(store, { defaults }), options)
      .catch(() => undefined)
      .finally(() => printed.close()),
  );
  return {
    input: near.input,
    write: (bytes) => near.write(bytes),
    stderr: stderr.input,
    stderrTail: () => tail,
    close: () => near.close(),
    closed: near.closed,
  };
}

/** A directory with a cache in it. */
export function fileCache(directory: string): FileObjects {
  mkdirSync(directory, { recursive: true });
  return new FileObjects(join(directory, "cache"), "file:///cache");
}

const worker: StoreTraits = {
  description: { protocol: "worker 1.38", nixVersion: SERVED_VERSION, trusted: true },
  signatures: "heeded",
  addsSignatures: true,
  validAmongMany: "taken",
  abortedQuestions: "refused",
  tellsNames: true,
};

/** The traits of each kind. */
export const TRAITS = {
  worker,
  serve: {
    ...worker,
    description: { protocol: "serve 2.7", nixVersion: null, trusted: null },
    signatures: "ignored",
    addsSignatures: false,
  },
  embedded: {
    ...worker,
    description: { protocol: "embedded", nixVersion: null, trusted: true },
    abortedQuestions: "answered",
  },
  cache: {
    ...worker,
    description: { protocol: "binary cache", nixVersion: null, trusted: null },
    signatures: "ignored",
    tellsNames: false,
  },
} satisfies Record<string, StoreTraits>;

/** What each kind does not do yet. */
export const SHORTCOMINGS = {
  worker: {},
  serve: {},
  servedServe: {},
  embedded: {},
  fileCache: {},
  httpCache: {},
} satisfies Record<string, Shortcomings>;
