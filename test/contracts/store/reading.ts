// What every store must do about questions and reads, whatever it is.
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { EngineError } from "../../../src/engine/base/errors.ts";
import { noise } from "../../support/noise.ts";
import { openStores } from "./opened.ts";
import { add, addressedSample, bytesOf, freshPath, kept, narOf, sample } from "./samples.ts";
import type { StoreSubject } from "./subject.ts";

/** Larger than what any store fetches whole. */
const LARGE = 3 * 1024 * 1024;

/** Declares the tests of `PathStore`. */
export function readingContract(subject: StoreSubject): void {
  const { open } = openStores(subject);

  it("says what it is", async () => {
    const store = await open();
    const { protocol, nixVersion, trusted } = subject.traits.description;
    const description = await store.describe();
    expect(description).toEqual({ uri: store.uri, protocol: expect.stringMatching(protocol), nixVersion, trusted });
    expect(store.uri).not.toBe("");
    expect(await store.describe()).toEqual(description);
  });

  describe("questions", () => {
    it("about nothing are answered with nothing", async () => {
      const store = await open();
      expect(await store.queryValidPaths([])).toEqual(new Set());
      expect(await store.queryPathInfos([])).toEqual(new Map());
    });

    it("about invalid paths leave them out", async () => {
      const store = await open();
      const [valid, invalid] = [sample("valid"), freshPath("invalid")];
      await add(store, [valid]);
      expect(await store.queryValidPaths([invalid])).toEqual(new Set());
      expect(await store.queryPathInfos([invalid])).toEqual(new Map());
      expect(await store.queryValidPaths([invalid, valid.path])).toEqual(new Set([valid.path]));
      expect([...(await store.queryPathInfos([invalid, valid.path])).keys()]).toEqual([valid.path]);
    });

    const { tellsNames } = subject.traits;
    it(`${tellsNames ? "tell" : "do not tell"} a path from one with the same hash and another name`, async () => {
      const store = await open();
      const one = sample("one");
      await add(store, [one]);
      const other = `${one.path}-other` as typeof one.path;
      expect(await store.queryPathInfos([one.path])).toHaveProperty("size", 1);
      expect(await store.queryValidPaths([other])).toEqual(new Set(tellsNames ? [] : [other]));
    });

    it("may name a path twice, and come as any iterable", async () => {
      const store = await open();
      const one = sample("one");
      await add(store, [one]);
      expect(await store.queryValidPaths([one.path, one.path])).toEqual(new Set([one.path]));
      expect([...(await store.queryPathInfos([one.path, one.path])).keys()]).toEqual([one.path]);
      const once = (function* () {
        yield one.path;
      })();
      expect(await store.queryValidPaths(once)).toEqual(new Set([one.path]));
      expect(await store.queryPathInfos(new Set([one.path]))).toHaveProperty("size", 1);
    });

    it("may be about a thousand paths", async () => {
      const store = await open();
      const valid = Array.from({ length: 5 }, (_, index) => sample(`valid-${index}`));
      await add(store, valid);
      const asked = Array.from({ length: 995 }, (_, index) => freshPath(`invalid-${index}`));
      for (const [index, { path }] of valid.entries()) asked.splice(index * 200, 0, path);
      const paths = valid.map(({ path }) => path);
      expect(await store.queryValidPaths(asked)).toEqual(new Set(paths));
      const infos = await store.queryPathInfos(asked);
      expect(new Set(infos.keys())).toEqual(new Set(paths));
      for (const { path, info } of valid) expect(kept(infos.get(path))).toEqual(kept(info));
    });

    it("may be asked all at once", async () => {
      const store = await open();
      const samples = Array.from({ length: 40 }, (_, index) => sample(`at-once-${index}`));
      await add(store, samples);
      const answers = await Promise.all(
        samples.map(async ({ path }) => [
          await store.queryValidPaths([path]),
          [...(await store.queryPathInfos([path, freshPath("invalid")])).keys()],
        ]),
      );
      expect(answers).toEqual(samples.map(({ path }) => [new Set([path]), [path]]));
    });
  });

  describe("infos", () => {
    it("say what was added", async () => {
      const store = await open();
      const lib = sample("lib");
      const signatures = [1, 2].map((byte) => `key-${byte}:${Buffer.alloc(64, byte).toString("base64")}`);
      const app = sample("app", {
        contents: (path) => `${path} ${lib.path}`,
        references: (path) => [path, lib.path],
        info: { deriver: freshPath("app.drv"), signatures },
      });
      const addressed = addressedSample("addressed");
      await add(store, [lib, app, addressed]);
      // Another one has remembered nothing of adding them.
      for (const asked of [store, await open()]) {
        const infos = await asked.queryPathInfos([lib, app, addressed].map(({ path }) => path));
        for (const { path, info } of [lib, app, addressed]) expect(kept(infos.get(path))).toEqual(kept(info));
        expect(infos.size).toBe(3);
      }
    });
  });

  describe("a NAR", () => {
    it.each([
      ["a small one", (): ReturnType<typeof sample> => sample("small")],
      ["a tree", () => addressedSample("tree")],
      ["a large one", () => sample("large", { contents: () => noise(LARGE) })],
      ["an empty file", () => sample("empty", { contents: () => "" })],
    ])("is given as it was added: %s", async (_what, make) => {
      const made = make();
      await add(await open(), [made]);
      const store = await open();
      const bytes = await narOf(store, made);
      expect(Buffer.compare(bytes, made.nar)).toBe(0);
      const info = (await store.queryPathInfos([made.path])).get(made.path)!;
      expect(Buffer.compare(createHash("sha256").update(bytes).digest(), info.narHash)).toBe(0);
      // A hint is no more than that.
      for (const hint of [0n, BigInt(LARGE) * 2n]) {
        expect(Buffer.compare(await bytesOf(store.narFromPath(made.path, hint)), made.nar)).toBe(0);
      }
    });

    it.each([0n, BigInt(LARGE)])("of an invalid path is refused with a code (%d bytes expected)", async (size) => {
      const store = await open();
      const [valid, invalid] = [sample("valid"), freshPath("invalid")];
      await add(store, [valid]);
      const error: unknown = await bytesOf(store.narFromPath(invalid, size)).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(EngineError);
      expect(error).toMatchObject({ code: expect.stringMatching(/^[A-Z]+(_[A-Z]+)+$/) });
      expect(await store.queryValidPaths([valid.path, invalid])).toEqual(new Set([valid.path]));
      expect(Buffer.compare(await narOf(store, valid), valid.nar)).toBe(0);
    });

    it("may be broken off, and the store goes on", async () => {
      const store = await open();
      const [large, small] = [sample("large", { contents: () => noise(LARGE) }), sample("small")];
      await add(store, [large, small]);
      for (const one of [large, small, large]) {
        let pieces = 0;
        for await (const piece of store.narFromPath(one.path, BigInt(one.nar.length))) {
          expect(piece.length).toBeGreaterThan(0);
          pieces++;
          break;
        }
        expect(pieces).toBe(1);
      }
      expect(await store.queryValidPaths([large.path])).toEqual(new Set([large.path]));
      expect(Buffer.compare(await narOf(store, large), large.nar)).toBe(0);
    });

    it("does not mix with others read at the same time", async () => {
      const store = await open();
      const samples = [1, 2, 3, 4].map((seed) =>
        sample(`mixed-${seed}`, { contents: () => noise(seed % 2 === 0 ? 20_000 : LARGE, seed) }),
      );
      await add(store, samples);
      const streams = samples.map((one) => ({
        one,
        stream: store.narFromPath(one.path, BigInt(one.nar.length))[Symbol.asyncIterator](),
        chunks: [] as Uint8Array[],
      }));
      // Piece by piece in turn.
      for (let running = streams; running.length > 0; ) {
        const next: typeof streams = [];
        for (const entry of running) {
          const step = await entry.stream.next();
          if (step.done === true) continue;
          entry.chunks.push(Uint8Array.from(step.value));
          next.push(entry);
        }
        running = next;
      }
      for (const { one, chunks } of streams) expect(Buffer.compare(Buffer.concat(chunks), one.nar)).toBe(0);
    });
  });
}
