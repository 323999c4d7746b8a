// What every store must do about paths that come in, whatever it is.
import { describe, expect, it } from "vitest";
import { EngineError } from "../../../src/engine/base/errors.ts";
import { hashBytes } from "../../../src/engine/formats/hash.ts";
import { AddAgainError } from "../../../src/engine/stores/store.ts";
import { noise } from "../../support/noise.ts";
import { openStores } from "./opened.ts";
import { add, addressedSample, freshPath, incoming, inPieces, kept, narOf, type Sample, sample } from "./samples.ts";
import { demanding, type StoreSubject, type TakingStore } from "./subject.ts";

/** What a mismatch, and a path that is not valid, are called here, and what becomes of it on the way from elsewhere: some daemons die of it. */
const MISMATCH = /^(?:STORE_HASH_MISMATCH|STORE_REMOTE_ERROR|PROTOCOL_CONNECTION_LOST)$/;
const NOT_VALID = /^(?:STORE_PATH_NOT_VALID|STORE_REMOTE_ERROR|PROTOCOL_UNSUPPORTED|PROTOCOL_CONNECTION_LOST)$/;

/** Declares the tests of `PathSink`. */
export function addingContract(subject: StoreSubject): void {
  const { open } = openStores(subject);
  const { signatures, addsSignatures, validAmongMany } = subject.traits;

  async function refuses(store: TakingStore, adding: Promise<void>, invalid: Sample, code = /./): Promise<void> {
    const error: unknown = await adding.then(
      () => "added",
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(EngineError);
    expect((error as EngineError).code).toMatch(code);
    for (const asked of [store, await open()]) {
      expect(await asked.queryValidPaths([invalid.path])).toEqual(new Set());
      expect(await asked.queryPathInfos([invalid.path])).toEqual(new Map());
    }
  }

  describe("paths", () => {
    it("are valid when they have been added, for everybody", async () => {
      const lib = sample("lib");
      const app = sample("app", { references: () => [lib.path] });
      const store = await open();
      await add(store, [lib, app]);
      for (const asked of [store, await open()]) {
        expect(await asked.queryValidPaths([app.path, lib.path])).toEqual(new Set([app.path, lib.path]));
        expect(Buffer.compare(await narOf(asked, app), app.nar)).toBe(0);
      }
    });

    it("may be none, or come one at a time from far away", async () => {
      const store = await open();
      await add(store, []);
      const samples = Array.from({ length: 3 }, (_, index) => sample(`far-${index}`));
      const arriving = async function* () {
        for (const one of samples) {
          await new Promise((resolve) => setImmediate(resolve));
          yield incoming(one);
        }
      };
      await store.addPaths(arriving(), { checkSignatures: false, count: 3, large: true });
      expect(await store.queryValidPaths(samples.map(({ path }) => path))).toHaveProperty("size", 3);
    });

    it("may be many at once, each with references to the one before", async () => {
      const store = await open();
      const chain: Sample[] = [];
      for (let index = 0; index < 80; index++) {
        const before = chain.at(-1);
        chain.push(sample(`chain-${index}`, { references: () => (before === undefined ? [] : [before.path]) }));
      }
      await add(store, chain);
      const infos = await store.queryPathInfos(chain.map(({ path }) => path));
      expect(infos.size).toBe(chain.length);
      for (const { path, info } of chain) expect(infos.get(path)?.references).toEqual(info.references);
    });

    it("may be large and come at the same time as small ones", async () => {
      const store = await open();
      const large = [1, 2].map((seed) => sample(`large-${seed}`, { contents: () => noise(2_500_000, seed) }));
      const small = Array.from({ length: 8 }, (_, index) => sample(`small-${index}`));
      await Promise.all([
        ...large.map((one) => add(store, [one], { large: true })),
        ...small.map((one) => add(store, [one])),
      ]);
      for (const one of [...large, ...small]) expect(Buffer.compare(await narOf(store, one), one.nar)).toBe(0);
    });

    it("may be added again", async () => {
      const one = sample("again");
      const store = await open();
      await add(store, [one]);
      await add(store, [one]);
      await add(await open(), [one]);
      expect(kept((await store.queryPathInfos([one.path])).get(one.path))).toEqual(kept(one.info));
      expect(Buffer.compare(await narOf(store, one), one.nar)).toBe(0);
    });

    demanding(subject, "two stores add one path at once")("may be added by two at the same time", async () => {
      const one = sample("race");
      const stores = [await open(), await open()];
      await Promise.all(stores.map((store) => add(store, [one])));
      for (const store of stores) expect(Buffer.compare(await narOf(store, one), one.nar)).toBe(0);
    });

    it(`may be valid already when they come with others: ${validAmongMany}`, async () => {
      const store = await open();
      const samples = [1, 2, 3].map((index) => sample(`among-${index}`));
      const paths = samples.map(({ path }) => path);
      await add(store, samples.slice(0, 1));
      if (validAmongMany === "taken") await add(store, samples);
      else {
        const error: unknown = await add(store, samples).catch((thrown: unknown) => thrown);
        expect(error).toBeInstanceOf(AddAgainError);
        const { valid } = error as AddAgainError;
        expect(valid).toContain(paths[0]);
        await add(
          store,
          samples.filter(({ path }) => !valid.has(path)),
        );
      }
      expect(await store.queryValidPaths(paths)).toEqual(new Set(paths));
    });
  });

  describe("what is not what it is said to be is refused and leaves nothing valid", () => {
    it("other bytes of the same length", async () => {
      const one = sample("other-bytes");
      const bytes = Buffer.from(one.nar);
      const at = bytes.indexOf("contents of");
      bytes[at] = bytes[at]! ^ 1;
      const store = await open();
      await refuses(store, add(store, [{ ...one, nar: bytes }]), one, MISMATCH);
      await add(store, [one]);
      expect(Buffer.compare(await narOf(store, one), one.nar)).toBe(0);
    });

    it("another hash", async () => {
      const one = sample("other-hash");
      const info = { ...one.info, narHash: hashBytes("sha256", "something else").digest };
      const store = await open();
      await refuses(store, add(store, [{ ...one, info }]), one, MISMATCH);
    });

    const sized = ({ info, ...one }: Sample, by: bigint): Sample => ({
      ...one,
      info: { ...info, narSize: info.narSize + by },
    });

    it("a smaller size", async () => {
      const one = sample("smaller");
      const store = await open();
      await refuses(store, add(store, [sized(one, -8n)]), one);
    });

    demanding(subject, "a NAR smaller than announced is noticed")("a larger size", async (inTime) => {
      const one = sample("larger");
      const store = await open();
      await add(store, [sample("before")]);
      await refuses(store, inTime(add(store, [sized(one, 8n)])), one);
    });

    demanding(subject, "a NAR that ends too early is noticed")("a NAR that ends too early", async (inTime) => {
      const one = sample("truncated");
      const store = await open();
      await add(store, [sample("before")]);
      const cut = incoming(one, () => inPieces(one.nar.subarray(0, one.nar.length - 20)));
      const adding = store.addPaths([cut], { checkSignatures: false, count: 1, large: false });
      await expect(inTime(adding)).rejects.toBeInstanceOf(EngineError);
      expect(await store.queryValidPaths([one.path])).toEqual(new Set());
      await add(store, [one]);
      expect(await store.queryValidPaths([one.path])).toEqual(new Set([one.path]));
    });

    it("a source that fails, whose error is told", async () => {
      const one = sample("failing");
      const store = await open();
      const failing = async function* () {
        yield one.nar.subarray(0, 30);
        throw new EngineError("transport", "TEST_SOURCE_FAILED", "the source failed");
      };
      const adding = store.addPaths([incoming(one, failing)], { checkSignatures: false, count: 1, large: false });
      await expect(adding).rejects.toMatchObject({ code: "TEST_SOURCE_FAILED" });
      expect(await store.queryValidPaths([one.path])).toEqual(new Set());
      await add(store, [one]);
      expect(await store.queryValidPaths([one.path])).toEqual(new Set([one.path]));
    });

    it("a list that fails, whose error is told", async () => {
      const store = await open();
      const [first, second] = [sample("first"), sample("second")];
      const failing = async function* () {
        yield incoming(first);
        throw new EngineError("transport", "TEST_LIST_FAILED", "the list failed");
      };
      const adding = store.addPaths(failing(), { checkSignatures: false, count: 2, large: false });
      await expect(adding).rejects.toMatchObject({ code: "TEST_LIST_FAILED" });
      await add(store, [second]);
      expect(await store.queryValidPaths([second.path])).toEqual(new Set([second.path]));
    });

    it("one of several, and those that need it", async () => {
      const store = await open();
      const good = sample("good");
      const bad = sample("bad", { references: () => [good.path] });
      const needs = sample("needs", { references: () => [bad.path] });
      const lie = { ...bad, info: { ...bad.info, narHash: hashBytes("sha256", "a lie").digest } };
      await expect(add(store, [good, lie, needs])).rejects.toBeInstanceOf(EngineError);
      const valid = await store.queryValidPaths([good, bad, needs].map(({ path }) => path));
      expect(valid).not.toContain(bad.path);
      expect(valid).not.toContain(needs.path);
    });

    it("a path whose reference is not valid", async () => {
      const store = await open();
      const missing = freshPath("missing");
      const one = sample("dangling", { references: () => [missing] });
      await expect(add(store, [one])).rejects.toBeInstanceOf(EngineError);
      expect(await store.queryValidPaths([one.path])).toEqual(new Set());
      const fine = sample("fine");
      await add(store, [fine]);
      expect(await store.queryValidPaths([fine.path])).toEqual(new Set([fine.path]));
    });
  });

  describe("signatures", () => {
    it(`of paths that come in are ${signatures} where they are to be checked`, async () => {
      const store = await open();
      const [unsigned, addressed] = [sample("unsigned"), addressedSample("addressed")];
      const foreign = sample("foreign", { info: { signatures: [`nobody-1:${Buffer.alloc(64).toString("base64")}`] } });
      for (const one of [unsigned, foreign]) {
        if (signatures === "heeded") await refuses(store, add(store, [one], { checkSignatures: true }), one);
        else await add(store, [one], { checkSignatures: true });
      }
      await add(store, [addressed], { checkSignatures: true });
      await add(store, [unsigned], { checkSignatures: false });
      const paths = [unsigned.path, addressed.path];
      expect(await store.queryValidPaths(paths)).toEqual(new Set(paths));
    });

    it(`${addsSignatures ? "can" : "cannot"} be added to a valid path`, async () => {
      const store = await open();
      const [one, two] = [1, 2].map((byte) => `late-${byte}:${Buffer.alloc(64, byte).toString("base64")}`) as [
        string,
        string,
      ];
      const signed = sample("signed", { info: { signatures: [one] } });
      await add(store, [signed]);
      const adding = store.addSignatures(signed.path, [two, one]);
      if (!addsSignatures) {
        await expect(adding).rejects.toMatchObject({ code: "PROTOCOL_UNSUPPORTED" });
        return;
      }
      await adding;
      await store.addSignatures(signed.path, [two]);
      await store.addSignatures(signed.path, []);
      for (const asked of [store, await open()]) {
        const info = (await asked.queryPathInfos([signed.path])).get(signed.path)!;
        expect(kept({ ...info, signatures: [...info.signatures].sort() })).toEqual(
          kept({ ...signed.info, signatures: [one, two] }),
        );
      }
    });

    it("cannot be added to one that is not", async () => {
      const store = await open();
      const signature = `late-1:${Buffer.alloc(64).toString("base64")}`;
      await expect(store.addSignatures(freshPath("invalid"), [signature])).rejects.toMatchObject({
        code: expect.stringMatching(NOT_VALID),
      });
    });
  });
}
