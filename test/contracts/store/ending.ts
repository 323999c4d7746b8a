// What every store must do when what it does is no longer wanted: by a signal, or because it is closed.
import { describe, expect, it } from "vitest";
import { EngineError } from "../../../src/engine/base/errors.ts";
import { noise } from "../../support/noise.ts";
import { openStores } from "./opened.ts";
import { add, bytesOf, freshPath, incoming, narOf, type Sample, sample } from "./samples.ts";
import { type Demand, demanding, type StoreSubject, type TakingStore } from "./subject.ts";

/** More than what lies in pipes and windows on the way. */
const LARGE = 12 * 1024 * 1024;

/** Declares the tests of signals and of closing. */
export function endingContract(subject: StoreSubject): void {
  const { open, closedHere } = openStores(subject);
  const { abortedQuestions } = subject.traits;
  const reason = new Error("no longer wanted");

  const asked = freshPath("asked");
  const questions: readonly (readonly [string, (store: TakingStore, signal?: AbortSignal) => Promise<unknown>])[] = [
    ["describe", (store, signal) => store.describe(signal)],
    ["queryValidPaths", (store, signal) => store.queryValidPaths([asked], signal)],
    ["queryPathInfos", (store, signal) => store.queryPathInfos([asked], signal)],
  ];

  async function isUsable(store: TakingStore): Promise<void> {
    const after = sample("after");
    await add(store, [after]);
    expect(await store.queryValidPaths([after.path])).toEqual(new Set([after.path]));
    expect(Buffer.compare(await narOf(store, after), after.nar)).toBe(0);
  }

  /** How an aborted question may end, by the store's traits. */
  async function endsAsItMay(asking: Promise<unknown>, meanwhile: boolean): Promise<void> {
    if (abortedQuestions === "answered") expect(await asking).toBeDefined();
    else if (meanwhile && abortedQuestions === "either") {
      const outcome = await asking.then(
        () => reason,
        (error: unknown) => error,
      );
      expect(outcome).toBe(reason);
    } else await expect(asking).rejects.toBe(reason);
  }

  describe.each(questions)("an aborted %s", (name, ask) => {
    const before = name === "describe" ? demanding(subject, "describe rejects and never throws") : it;
    before(`is ${abortedQuestions} when it was aborted before`, async () => {
      const store = await open();
      await endsAsItMay(ask(store, AbortSignal.abort(reason)), false);
      await isUsable(store);
    });

    demanding(subject, "an abort is told by its reason")(
      `is ${abortedQuestions} when that happens meanwhile`,
      async () => {
        const store = await open();
        const abort = new AbortController();
        const asking = ask(store, abort.signal);
        abort.abort(reason);
        await endsAsItMay(asking, true);
        await isUsable(store);
      },
    );

    demanding(subject, "an aborted question is the loss of who asked it")("is nobody else's loss", async () => {
      const store = await open();
      const abort = new AbortController();
      const asking = ask(store, abort.signal);
      const other = ask(store);
      asking.catch(() => undefined);
      abort.abort(reason);
      expect(await other).toBeDefined();
    });
  });

  describe("an aborted read", () => {
    it.each([1000, LARGE])("is refused with the reason when it was aborted before (%d bytes)", async (size) => {
      const store = await open();
      const one = sample("unread", { contents: () => noise(size) });
      await add(store, [one], { large: size === LARGE });
      await expect(narOf(store, one, AbortSignal.abort(reason))).rejects.toBe(reason);
      await isUsable(store);
    });

    it("is refused with the reason in the middle", async () => {
      const store = await open();
      const one = sample("half-read", { contents: () => noise(LARGE) });
      await add(store, [one], { large: true });
      const abort = new AbortController();
      const reading = async (): Promise<void> => {
        for await (const _ of store.narFromPath(one.path, one.info.narSize, abort.signal)) abort.abort(reason);
      };
      await expect(reading()).rejects.toBe(reason);
      await isUsable(store);
      expect(Buffer.compare(await narOf(store, one), one.nar)).toBe(0);
    });
  });

  describe("aborted adding", () => {
    it("is refused with the reason when it was aborted before", async () => {
      const store = await open();
      const one = sample("unwanted");
      await expect(add(store, [one], {}, AbortSignal.abort(reason))).rejects.toBe(reason);
      expect(await store.queryValidPaths([one.path])).toEqual(new Set());
      await isUsable(store);
    });

    it.each([1, 2])("is refused with the reason in the middle of a NAR (%d paths)", async (count) => {
      const store = await open();
      const one = sample("half-written", { contents: () => noise(LARGE) });
      const abort = new AbortController();
      const halves = async function* () {
        yield one.nar.subarray(0, 100_000);
        abort.abort(reason);
        yield one.nar.subarray(100_000);
      };
      const adding = store.addPaths(
        [incoming(one, halves)],
        { checkSignatures: false, count, large: true },
        abort.signal,
      );
      await expect(adding).rejects.toBe(reason);
      expect(await store.queryValidPaths([one.path])).toEqual(new Set());
      await isUsable(store);
      await add(store, [one], { large: true });
      expect(Buffer.compare(await narOf(store, one), one.nar)).toBe(0);
    });

    it.each([1, 2])("is refused with the reason between two paths (%d paths)", async (count) => {
      const store = await open();
      const [first, second] = [sample("first"), sample("second")];
      const abort = new AbortController();
      const list = async function* () {
        yield incoming(first);
        abort.abort(reason);
        yield incoming(second);
      };
      const adding = store.addPaths(list(), { checkSignatures: false, count, large: false }, abort.signal);
      await expect(adding).rejects.toBe(reason);
      expect(await store.queryValidPaths([second.path])).toEqual(new Set());
      await isUsable(store);
    });
  });

  describe("closing", () => {
    const closed = new EngineError("store", "TEST_CLOSED", "closed by the test");

    it("may be done before anything was asked", async () => {
      const store = await open();
      closedHere(store);
      await store.close(closed);
    });

    demanding(subject, "may be closed twice")("may be done twice", async () => {
      const store = await open();
      await add(store, [sample("before")]);
      closedHere(store);
      await store.close();
      await store.close(closed);
    });

    demanding(subject, "closing refuses reads with the reason")(
      "refuses a read under way with the reason",
      async () => {
        const store = await open();
        const one = sample("being-read", { contents: () => noise(LARGE) });
        await add(store, [one], { large: true });
        closedHere(store);
        const reading = async (): Promise<void> => {
          let isClosed = false;
          for await (const _ of store.narFromPath(one.path, one.info.narSize)) {
            if (!isClosed) await store.close(closed);
            isClosed = true;
          }
        };
        await expect(reading()).rejects.toBe(closed);
      },
    );

    demanding(subject, "closing refuses adding with the reason")(
      "refuses adding under way with the reason",
      async () => {
        const store = await open();
        closedHere(store);
        const one = sample("being-added", { contents: () => noise(LARGE) });
        const halves = async function* () {
          yield one.nar.subarray(0, 100_000);
          await store.close(closed);
          yield one.nar.subarray(100_000);
        };
        const adding = store.addPaths([incoming(one, halves)], { checkSignatures: false, count: 1, large: true });
        await expect(adding).rejects.toBe(closed);
        expect(await (await open()).queryValidPaths([one.path])).toEqual(new Set());
      },
    );

    it("leaves questions under way answered, or refused with the reason", async () => {
      const store = await open();
      await store.describe();
      closedHere(store);
      const answers = Promise.all(
        questions.map(([, ask]) =>
          ask(store).then(
            () => closed,
            (error: unknown) => error,
          ),
        ),
      );
      await store.close(closed);
      expect(await answers).toEqual(questions.map(() => closed));
    });

    type Later = (store: TakingStore, there: Sample) => Promise<unknown>;
    const later: readonly (readonly [string, Demand, Later])[] = [
      ["queryValidPaths", "questions after closing are refused", (store) => store.queryValidPaths([asked])],
      ["queryPathInfos", "questions after closing are refused", (store) => store.queryPathInfos([asked])],
      ["read", "small reads after closing are refused", (store, { path }) => bytesOf(store.narFromPath(path, 0n))],
      [
        "read of much",
        "large reads after closing are refused",
        (store, { path }) => bytesOf(store.narFromPath(path, BigInt(LARGE))),
      ],
      ["adding", "adding after closing is refused", (store) => add(store, [sample("too-late")])],
      [
        "adding of much",
        "adding after closing is refused",
        (store) => add(store, [sample("too-late")], { large: true }),
      ],
    ];
    for (const [name, demand, call] of later) {
      demanding(subject, demand)(`refuses a later ${name}`, async (inTime) => {
        const store = await open();
        const there = sample("there");
        await add(store, [there]);
        closedHere(store);
        await store.close(closed);
        await expect(inTime(call(store, there))).rejects.toBeInstanceOf(EngineError);
      });
    }
  });
}
