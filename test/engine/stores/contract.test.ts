// The contract of stores, held to by each that needs nothing but Node.
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe } from "vitest";
import type { EmbeddedStore } from "../../../src/engine/stores/embedded/embedded-store.ts";
import { storeContract } from "../../contracts/store.ts";
import { type ObjectServer, startObjectServer } from "../../support/object-server.ts";
import { removeDirectory, temporaryDirectory } from "../../support/temporary-directory.ts";
import { cacheOver, httpPort } from "./binary-cache/support.ts";
import {
  fileCache,
  overServe,
  overWorker,
  SHORTCOMINGS,
  serveStore,
  TRAITS,
  workerStore,
} from "./contract-subjects.ts";
import { openTestStore } from "./embedded/support.ts";

let directory: string;
beforeAll(() => {
  directory = temporaryDirectory("contract");
});
afterAll(() => removeDirectory(directory));

const embedded = (): Promise<EmbeddedStore> => openTestStore(join(directory, "store"), { requireSignatures: true });

storeContract({
  name: "the embedded store",
  open: embedded,
  traits: TRAITS.embedded,
  shortcomings: SHORTCOMINGS.embedded,
});

describe("served", () => {
  const behind: EmbeddedStore[] = [];
  afterEach(async () => {
    for (const store of behind.splice(0)) await store.close();
  });
  const served = async (): Promise<EmbeddedStore> => {
    const store = await embedded();
    behind.push(store);
    return store;
  };

  storeContract({
    name: "the embedded store over the worker protocol",
    open: async () => {
      const store = await served();
      return workerStore("served", async () => overWorker(store));
    },
    traits: TRAITS.worker,
    shortcomings: SHORTCOMINGS.worker,
  });

  storeContract({
    name: "the embedded store over the serve protocol",
    open: async () => {
      const store = await served();
      return serveStore("served", async () => overServe(store));
    },
    traits: TRAITS.serve,
    shortcomings: SHORTCOMINGS.serve,
  });
});

storeContract({
  name: "a binary cache in a directory",
  open: async () => cacheOver(fileCache(directory)),
  traits: { ...TRAITS.cache, abortedQuestions: "either" },
  shortcomings: SHORTCOMINGS.fileCache,
});

describe("over HTTP", () => {
  let server: ObjectServer;
  beforeAll(async () => {
    server = await startObjectServer();
    // As somebody who made the cache would have left it.
    server.objects.set("/nix-cache-info", Buffer.from("StoreDir: /nix/store\n"));
  });
  afterAll(() => server.stop());

  storeContract({
    name: "a binary cache on a server",
    open: async () => cacheOver(httpPort(server.url).port),
    traits: TRAITS.cache,
    shortcomings: SHORTCOMINGS.httpCache,
  });
});
