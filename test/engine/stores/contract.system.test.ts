// The contract of stores, held to by every real Nix over both protocols, and by our own builders directly and served.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, it } from "vitest";
import type { EmbeddedStore } from "../../../src/engine/stores/embedded/embedded-store.ts";
import {
  buildContract,
  keepingContract,
  machineContract,
  type StoreTraits,
  storeContract,
} from "../../contracts/store.ts";
import { hostSystem } from "../../support/builders.ts";
import { atLeast, type NixGeneration, nixGenerations } from "../../support/nix-generations.ts";
import { createInstance, type NixInstance } from "../../support/nix-instance.ts";
import { removeDirectory, temporaryDirectory } from "../../support/temporary-directory.ts";
import { connectTo } from "../protocols/real-nix.ts";
import {
  overServe,
  overWorker,
  SHORTCOMINGS,
  serveStore,
  servingEnded,
  TRAITS,
  workerStore,
} from "./contract-subjects.ts";
import { openTestStore } from "./embedded/support.ts";

const generations = await nixGenerations();
if (generations.length === 0) it.skip("SKIPPED: no Nix here to talk to", () => undefined);

function newestMinor(generation: NixGeneration): number {
  if (atLeast(generation, "2.24")) return 38;
  if (atLeast(generation, "2.20")) return 37;
  return atLeast(generation, "2.15") ? 35 : 34;
}

function daemonTraits(generation: NixGeneration): StoreTraits {
  return {
    ...TRAITS.worker,
    description: {
      protocol: `worker 1.${newestMinor(generation)}`,
      nixVersion: generation.version,
      trusted: true,
    },
    validAmongMany: atLeast(generation, "2.18") ? "taken" : "askedAgain",
  };
}

describe.each(generations)("Nix $version", (generation) => {
  let instance: NixInstance;
  beforeAll(async () => {
    instance = await createInstance(generation, { name: `contract-${generation.version}` });
  });
  afterAll(() => instance.remove());

  const builds = { system: hostSystem, sleep: (seconds: string): string => `sleep ${seconds}` };
  const daemon = {
    ...builds,
    name: "a daemon",
    open: async () => workerStore(`nix-${generation.version}`, () => connectTo(instance, "nix-daemon", "--stdio")),
    traits: daemonTraits(generation),
    shortcomings: SHORTCOMINGS.worker,
    checks: true,
    saysWhatIsMissing: true,
  };
  const serving = {
    ...builds,
    name: "a serving process",
    open: async () =>
      serveStore(`nix-${generation.version}`, () => connectTo(instance, "nix-store", "--serve", "--write")),
    traits: TRAITS.serve,
    shortcomings: SHORTCOMINGS.serve,
    checks: false,
    saysWhatIsMissing: false,
  };
  for (const subject of [daemon, serving]) {
    storeContract(subject);
    machineContract(subject);
    buildContract(subject);
  }
  keepingContract(daemon);
});

// Builders are shut in by what this machine has; without it there is nothing to build with.
const busybox = existsSync("/bin/busybox") || existsSync("/usr/bin/busybox");
if (!busybox) it.skip("SKIPPED: no busybox here for our own builders", () => undefined);

describe.skipIf(!busybox)("our own builders (skipped without busybox)", () => {
  let directory: string;
  beforeAll(() => {
    directory = temporaryDirectory("contract");
  });
  afterAll(() => removeDirectory(directory));

  afterEach(servingEnded);
  const embedded = (): Promise<EmbeddedStore> => openTestStore(join(directory, "store"), { system: hostSystem });
  const builds = { system: hostSystem, sleep: (seconds: string): string => `(exec -a sleep /bin/sh ${seconds})` };

  buildContract({
    ...builds,
    name: "the embedded store",
    open: embedded,
    traits: TRAITS.embedded,
    shortcomings: SHORTCOMINGS.embedded,
    checks: true,
  });
  buildContract({
    ...builds,
    name: "the embedded store over the worker protocol",
    open: async () => workerStore("served", () => overWorker(embedded())),
    traits: TRAITS.worker,
    shortcomings: SHORTCOMINGS.worker,
    checks: true,
  });
  buildContract({
    ...builds,
    name: "the embedded store over the serve protocol",
    open: async () => serveStore("served", () => overServe(embedded())),
    traits: TRAITS.serve,
    shortcomings: SHORTCOMINGS.servedServe,
    checks: false,
  });
});
