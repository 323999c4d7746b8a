// What every store of a machine must do beyond paths and builds, and what the one that keeps results must.
import { describe, expect, it } from "vitest";
import { EngineError } from "../../../src/engine/base/errors.ts";
import type { DestinationStore, MachineStore } from "../../../src/engine/stores/store.ts";
import { until } from "../../support/processes.ts";
import { openStores } from "./opened.ts";
import { add, freshPath, sample } from "./samples.ts";
import type { StoreSubject } from "./subject.ts";

export interface MachineSubject<S extends MachineStore = MachineStore> extends StoreSubject<S> {
  /** Whether it can be asked what it would have to do. */
  readonly saysWhatIsMissing: boolean;
}

/** Declares the tests of `LiveStore` and `SubstitutingStore`, with no substituters behind the store. */
export function machineContract(subject: MachineSubject): void {
  describe(`${subject.name} as a machine's store`, () => {
    const { open, closedHere } = openStores(subject);
    const reason = new Error("no longer wanted");
    const never = new AbortController().signal;

    it("answers when it is asked whether it is there", async () => {
      const store = await open();
      await store.ping(never);
      await Promise.all([store.ping(never), store.ping(never)]);
      await expect(store.ping(AbortSignal.abort(reason))).rejects.toBe(reason);
      closedHere(store);
      await store.close(new EngineError("store", "TEST_CLOSED", "closed by the test"));
      await expect(store.ping(never)).rejects.toBeInstanceOf(Error);
    });

    it("says which of the paths it has locked are valid", async () => {
      const store = await open();
      const [valid, invalid] = [sample("valid"), freshPath("invalid")];
      await add(store, [valid]);
      expect(await store.lockValidPaths([])).toEqual(new Set());
      expect(await store.lockValidPaths([invalid, valid.path, valid.path])).toEqual(new Set([valid.path]));
      expect(await store.queryValidPaths([invalid])).toEqual(new Set());
    });

    it("has nothing to fetch where there are no substituters", async () => {
      const store = await open();
      const [valid, invalid] = [sample("valid"), freshPath("invalid")];
      await add(store, [valid]);
      expect(await store.querySubstitutable([])).toEqual(new Set());
      expect(await store.querySubstitutable([invalid])).toEqual(new Set());
      await store.ensurePath(valid.path, () => undefined);
      const fetching = store.ensurePath(invalid, () => undefined);
      await expect(fetching).rejects.toBeInstanceOf(EngineError);
      await expect(fetching).rejects.toThrow(invalid);
      expect(await store.queryValidPaths([invalid, valid.path])).toEqual(new Set([valid.path]));
    });

    it(`${subject.saysWhatIsMissing ? "says" : "cannot say"} what is missing`, async () => {
      const store = await open();
      const [valid, invalid] = [sample("valid"), freshPath("invalid")];
      await add(store, [valid]);
      const asking = store.queryMissing([
        { type: "opaque", path: valid.path },
        { type: "opaque", path: invalid },
      ]);
      if (!subject.saysWhatIsMissing) {
        await expect(asking).rejects.toMatchObject({ code: "PROTOCOL_UNSUPPORTED" });
        return;
      }
      const none = { willBuild: new Set(), willSubstitute: new Set(), downloadSize: 0n, narSize: 0n };
      expect(await asking).toEqual({ ...none, unknown: new Set([invalid]) });
      expect(await store.queryMissing([])).toEqual({ ...none, unknown: new Set() });
    });
  });
}

/** Declares the tests of `KeepingStore`. */
export function keepingContract(subject: StoreSubject<DestinationStore>): void {
  describe(`${subject.name} as the store that keeps results`, () => {
    const { open, closedHere } = openStores(subject);

    it("deletes what nothing keeps alive, and refuses to delete what something does", async () => {
      const adding = await open();
      const lib = sample("lib");
      const app = sample("app", { references: () => [lib.path] });
      const loose = sample("loose");
      await add(adding, [lib, app, loose]);
      const [keeping, deleting] = [await open(), await open()];
      await keeping.addTempRoots([app.path]);
      closedHere(adding);
      await adding.close();
      // What added them keeps them alive until it is gone, which nobody can wait for.
      let freed = 0n;
      await until("the path to be deleted", async () => {
        freed = await deleting.deletePaths([loose.path]).catch(() => -1n);
        return freed >= 0n;
      });
      expect(freed).toBeGreaterThan(0n);
      const paths = [lib.path, app.path];
      for (const path of paths) {
        await expect(deleting.deletePaths([path])).rejects.toMatchObject({ code: "STORE_PATH_ALIVE" });
      }
      expect(await deleting.queryValidPaths([...paths, loose.path])).toEqual(new Set(paths));
    });

    it("deletes together what refers to each other", async () => {
      const adding = await open();
      const lib = sample("lib");
      const app = sample("app", { references: () => [lib.path] });
      await add(adding, [lib, app]);
      closedHere(adding);
      await adding.close();
      const store = await open();
      await until("the paths to be deleted", () =>
        store.deletePaths([lib.path, app.path]).then(
          () => true,
          () => false,
        ),
      );
      expect(await store.queryValidPaths([lib.path, app.path])).toEqual(new Set());
    });

    it("knows what an output turned out to be once it has been told", async () => {
      const store = await open();
      const one = sample("realised");
      await add(store, [one]);
      const hash = Buffer.from(one.info.narHash).toString("hex");
      const id = `sha256:${hash}!out`;
      expect(await store.queryRealisation(id)).toBeNull();
      await store.registerRealisation(id, one.path);
      for (const asked of [store, await open()]) expect(await asked.queryRealisation(id)).toBe(one.path);
      expect(await store.queryRealisation(`sha256:${hash}!dev`)).toBeNull();
    });

    it("knows no outputs of a derivation that is not valid", async () => {
      const store = await open();
      await expect(store.queryDerivationOutputs(freshPath("none.drv"))).rejects.toBeInstanceOf(EngineError);
    });
  });
}
