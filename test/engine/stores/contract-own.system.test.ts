// The contract of stores, held to by our own: the embedded one, served and not, and caches. Needs nothing but Node, and takes half a minute.
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe } from "vitest";
import type { EmbeddedStore } from "../../../src/engine/stores/embedded/embedded-store.ts";
import { keepingContract, machineContract, storeContract } from "../../contracts/store.ts";
import { type ObjectServer, startObjectServer } from "../../support/object-server.ts";
import { removeDirectory, temporaryDirectory } from "../../support/temporary-directory.ts";
import { cacheOver, httpPort } from "./binary-cache/support.ts";
import {
  fileCache,
  overServe,
  overWorker,
  SHORTCOMINGS,
  serveStore,
  servingEnded,
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

const direct = {
  name: "the embedded store",
  open: embedded,
  traits: TRAITS.embedded,
  shortcomings: SHORTCOMINGS.embedded,
  saysWhatIsMissing: true,
};
storeContract(direct);
machineContract(direct);
keepingContract(direct);

describe("served", () => {
  afterEach(servingEnded);

  const overDaemon = {
    name: "the embedded store over the worker protocol",
    open: async () => workerStore("served", () => overWorker(embedded())),
    traits: TRAITS.worker,
    shortcomings: SHORTCOMINGS.worker,
    saysWhatIsMissing: true,
  };
  storeContract(overDaemon);
  machineContract(overDaemon);
  keepingContract(overDaemon);

  const overLogin = {
    name: "the embedded store over the serve protocol",
    open: async () => serveStore("served", () => overServe(embedded())),
    traits: TRAITS.serve,
    shortcomings: SHORTCOMINGS.servedServe,
    saysWhatIsMissing: false,
  };
  storeContract(overLogin);
  machineContract(overLogin);
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
