import { describe, expect, it } from "vitest";
import { EngineError } from "../../../../src/engine/base/errors.ts";
import type { MachineId } from "../../../../src/engine/events/ids.ts";
import type { StorePath } from "../../../../src/engine/formats/store-path.ts";
import {
  MachineSession,
  type MachineSessionOptions,
  type TransferReporter,
} from "../../../../src/engine/scheduler/perform/machine-session.ts";
import { PathInfos } from "../../../../src/engine/stores/path-infos.ts";
import type { AddOptions, IncomingPath } from "../../../../src/engine/stores/store.ts";
import { turn } from "../../../support/fake-connections.ts";
import { FakeStore, infoOf } from "../../../support/fake-store.ts";
import { manualClock } from "../../transports/manual-clock.ts";

const path = (name: string): StorePath => `/nix/store/${"1".repeat(32)}-${name}` as StorePath;
const nameOf = (each: StorePath): string => each.slice(path("").length);
/** What goes by itself. */
const BIG = "x".repeat(4 << 20);

/** A transfer to a machine, which waits for the test. */
interface Sending {
  readonly names: readonly string[];
  readonly options: AddOptions;
  arrives(): Promise<void>;
  fails(error: Error): Promise<void>;
}

/** A machine whose transfers a test ends by hand. */
class SlowStore extends FakeStore {
  readonly sendings: Sending[] = [];
  readonly substitutable = new Map<StorePath, Error | null>();
  readonly substituting: string[] = [];
  duringSubstitution: () => void = () => undefined;
  /** Which paths it was asked about. */
  readonly asked: string[][] = [];
  gone: Error | null = null;

  override async addPaths(
    paths: AsyncIterable<IncomingPath> | Iterable<IncomingPath>,
    options?: AddOptions,
    signal?: AbortSignal,
  ): Promise<void> {
    const all: IncomingPath[] = [];
    for await (const each of paths) all.push(each);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
    const names = all.map(({ info }) => nameOf(info.path));
    const after = (end: () => void): Promise<void> => {
      end();
      return turn();
    };
    const fails = (error: Error): Promise<void> => after(() => reject(error));
    this.sendings.push({ names, options: options!, arrives: () => after(resolve), fails });
    await promise;
    await super.addPaths(all);
  }

  override async lockValidPaths(paths: readonly StorePath[]): Promise<Set<StorePath>> {
    if (this.gone !== null) throw this.gone;
    this.asked.push(paths.map(nameOf));
    return this.queryValidPaths(paths);
  }

  override async querySubstitutable(): Promise<Set<StorePath>> {
    return new Set(this.substitutable.keys());
  }

  override async ensurePath(each: StorePath): Promise<void> {
    this.substituting.push(nameOf(each));
    this.duringSubstitution();
    const failure = this.substitutable.get(each);
    if (failure !== null) throw failure;
    this.put(each, "substituted");
  }
}

function rig(changes: Partial<MachineSessionOptions> = {}) {
  const source = new FakeStore("here");
  const store = new SlowStore("ssh-ng://b1");
  const access = { nixVersion: null, protocol: "worker 1.38", command: null, freeBytes: null, openScratch: null };
  const session = new MachineSession({
    ...{
      machine: "b1" as MachineId,
      store,
      isDestination: false,
      trusted: true,
      buildersUseSubstitutes: false,
      access,
    },
    ...changes,
  });
  const infos = new PathInfos(source);
  const reports: string[] = [];
  const reporter: TransferReporter = {
    begin: (direction, paths, bytes) => {
      reports.push(`${direction} ${paths} ${bytes}`);
      return {
        progress: ({ doneBytes, expectedBytes }) => reports.push(`${doneBytes} of ${expectedBytes}`),
        end: (failure) => reports.push(`end ${failure}`),
      };
    },
  };
  /** Who has what they asked for, and why the others have not. */
  const ends: string[] = [];
  const provide = async (who: string, names: readonly string[], signal = new AbortController().signal) => {
    session.provide(names.map(path), { store: source, infos }, reporter, signal).then(
      () => ends.push(who),
      (error: Error) => {
        const hint = error instanceof EngineError && error.hint !== null ? ` (${error.hint})` : "";
        ends.push(`${who}: ${error.message}${hint}`);
      },
    );
    await turn();
  };
  const sent = (): (readonly string[])[] => store.sendings.map(({ names }) => names);
  return { source, store, session, reporter, reports, ends, provide, sent };
}

describe("what a machine needs", () => {
  it("is sent once however many builds need it at the same time, and never again", async () => {
    const { source, store, provide, sent, ends } = rig();
    source.put(path("a"), "a");
    await provide("first", ["a"]);
    await provide("second", ["a"]);
    expect([sent(), ends]).toEqual([[["a"]], []]);
    await store.sendings[0]!.arrives();
    expect(ends.toSorted()).toEqual(["first", "second"]);
    await provide("third", ["a"]);
    expect(ends.at(-1)).toBe("third");
    expect([sent(), store.asked]).toEqual([[["a"]], [["a"]]]);
  });

  it("is its closure, references before referrers", async () => {
    const { source, store, provide, sent } = rig();
    source
      .put(path("c"), "c")
      .put(path("b"), "b", [path("c")])
      .put(path("a"), "a", [path("b"), path("a")]);
    await provide("build", ["a"]);
    await store.sendings[0]!.arrives();
    expect(sent()).toEqual([["c", "b", "a"]]);
  });

  it("is asked for first: what is valid there, or was built there, is not sent", async () => {
    const { source, store, session, provide, sent, ends } = rig();
    for (const name of ["a", "b", "c"]) source.put(path(name), name);
    store.put(path("a"), "a");
    session.holds(path("b"));
    await provide("one", ["a", "b", "c"]);
    expect(store.asked).toEqual([["a", "c"]]);
    expect(sent()).toEqual([["c"]]);
    expect(["a", "b", "c"].map((name) => session.isKnown(path(name)))).toEqual([true, true, false]);
    await store.sendings[0]!.arrives();
    expect([ends, session.isKnown(path("c"))]).toEqual([["one"], true]);
  });

  it("is there already when its store is the destination", async () => {
    const { source, store, session, provide, ends } = rig({ isDestination: true });
    source.put(path("a"), "a");
    await provide("one", ["a"]);
    expect([ends, store.asked, session.isKnown(path("a"))]).toEqual([["one"], [], true]);
  });

  it("does not wait for what is big, unless it refers to it", async () => {
    const { source, store, session, provide, sent, ends } = rig();
    source
      .put(path("big"), BIG)
      .put(path("small"), "small")
      .put(path("wrapper"), "wrapper", [path("big")]);
    source.put(path("just-below"), BIG.slice(1)).put(path("all"), "all", [path("wrapper"), path("small")]);
    await provide("both", ["all", "just-below"]);
    expect(sent()).toEqual([["small", "just-below"]]);
    await store.sendings[0]!.arrives();
    expect(sent()[1]).toEqual(["big", "wrapper", "all"]);
    // It is known as soon as it has come, not when all has.
    await provide("small", ["small"]);
    expect([ends, session.isKnown(path("big"))]).toEqual([["small"], false]);
    await store.sendings[1]!.arrives();
    expect(ends).toEqual(["small", "both"]);
  });

  it("has its signatures checked there only when the account is known to have no trust", async () => {
    for (const [trusted, checkSignatures] of [
      [true, false],
      [null, false],
      [false, true],
    ] as const) {
      const { source, store, provide } = rig({ trusted });
      source.put(path("a"), "a");
      await provide("one", ["a"]);
      expect(store.sendings[0]!.options).toEqual({ checkSignatures, count: 1, large: false });
    }
  });
});

describe("a path that another build's transfer brings", () => {
  it("is brought by the next one when that build is cancelled", async () => {
    const { source, store, provide, sent, ends } = rig();
    source.put(path("a"), "a");
    const abort = new AbortController();
    await provide("first", ["a"], abort.signal);
    await provide("second", ["a"]);
    abort.abort(new Error("cancelled"));
    await turn();
    expect([ends, sent()]).toEqual([["first: cancelled"], [["a"], ["a"]]]);
    await store.sendings[1]!.arrives();
    expect(ends).toEqual(["first: cancelled", "second"]);
  });

  it("is brought by the next one when the transfer fails, and by one only of several", async () => {
    const { source, store, provide, sent, ends } = rig();
    source.put(path("a"), "a");
    for (const who of ["first", "second", "third"]) await provide(who, ["a"]);
    await store.sendings[0]!.fails(new Error("disk full"));
    expect([ends, sent()]).toEqual([["first: disk full"], [["a"], ["a"]]]);
    await store.sendings[1]!.arrives();
    expect(ends.toSorted()).toEqual(["first: disk full", "second", "third"]);
  });

  it("is waited for by what refers to it: no store takes a path before its references", async () => {
    const { source, provide, sent, store } = rig();
    source
      .put(path("dep"), "dep")
      .put(path("a"), "a", [path("dep")])
      .put(path("b"), "b", [path("dep")]);
    source.put(path("c"), "c", [path("b")]).put(path("alone"), "alone");
    await provide("first", ["a"]);
    await provide("second", ["c", "alone"]);
    expect(sent()).toEqual([["dep", "a"], ["alone"]]);
    await store.sendings[1]!.arrives();
    expect(sent()).toHaveLength(2);
    await store.sendings[0]!.arrives();
    expect(sent().slice(2)).toEqual([["b", "c"]]);
  });

  it("comes although one of those who wait for it leaves", async () => {
    const { source, store, provide, sent, ends } = rig();
    source.put(path("a"), "a");
    const abort = new AbortController();
    await provide("first", ["a"]);
    await provide("second", ["a"], abort.signal);
    abort.abort(new Error("cancelled"));
    await turn();
    expect(ends).toEqual(["second: cancelled"]);
    await store.sendings[0]!.arrives();
    expect([ends, sent()]).toEqual([["second: cancelled", "first"], [["a"]]]);
  });

  it("can be had after a failure by whoever asks later", async () => {
    const { source, store, provide, ends } = rig();
    source.put(path("a"), "a");
    await provide("first", ["a"]);
    await store.sendings[0]!.fails(new Error("disk full"));
    await provide("later", ["a"]);
    await store.sendings[1]!.arrives();
    expect(ends).toEqual(["first: disk full", "later"]);
  });

  it("is missed by all when the machine is lost", async () => {
    const { source, store, provide, sent, ends } = rig();
    source.put(path("a"), "a");
    for (const who of ["first", "second"]) await provide(who, ["a"]);
    store.gone = new EngineError("transport", "MACHINE_LOST", "ssh-ng://b1 is lost");
    await store.sendings[0]!.fails(store.gone);
    expect(ends).toEqual(["first: ssh-ng://b1 is lost", "second: ssh-ng://b1 is lost"]);
    expect(sent()).toEqual([["a"]]);
  });
});

describe("substitutes of a machine", () => {
  it("are used where that is wanted, and what they do not bring is sent", async () => {
    const { source, store, provide, sent } = rig({ buildersUseSubstitutes: true });
    for (const name of ["a", "b", "c"]) source.put(path(name), name);
    store.substitutable.set(path("a"), null);
    store.substitutable.set(path("b"), new EngineError("store", "SUBSTITUTE_NOT_FOUND", "the cache has lost it"));
    await provide("one", ["a", "b", "c"]);
    expect(store.substituting).toEqual(["a", "b"]);
    expect(sent()).toEqual([["b", "c"]]);
  });

  it("are not asked for where that is not wanted", async () => {
    const { source, store, provide, sent } = rig();
    source.put(path("a"), "a");
    store.substitutable.set(path("a"), null);
    await provide("one", ["a"]);
    expect(sent()).toEqual([["a"]]);
  });

  it("end with the machine, which is no reason to send to it", async () => {
    const { source, store, provide, sent, ends } = rig({ buildersUseSubstitutes: true });
    source.put(path("a"), "a");
    store.substitutable.set(path("a"), new EngineError("transport", "MACHINE_LOST", "it is lost"));
    await provide("one", ["a"]);
    expect([ends, sent()]).toEqual([["one: it is lost"], []]);
  });
});

describe("a build that is cancelled while its machine substitutes", () => {
  it("has nothing sent", async () => {
    const { source, store, provide, sent, ends } = rig({ buildersUseSubstitutes: true });
    source.put(path("a"), "a");
    const abort = new AbortController();
    store.substitutable.set(path("a"), new Error("broken off"));
    store.duringSubstitution = () => abort.abort(new Error("cancelled"));
    await provide("one", ["a"], abort.signal);
    expect([ends, sent()]).toEqual([["one: cancelled"], []]);
  });
});

describe("a transfer", () => {
  it("is told of from its beginning to its end", async () => {
    const { source, store, provide, reports } = rig();
    source.put(path("a"), "aaa").put(path("b"), "bb");
    await provide("one", ["a", "b"]);
    expect(reports).toEqual(["upload 2 5", "0 of 5"]);
    await store.sendings[0]!.arrives();
    expect(reports).toEqual(["upload 2 5", "0 of 5", "3 of 5", "5 of 5", "end null"]);
  });

  it("that fails names the machine once, and keeps its hint", async () => {
    const { source, store, provide, reports, ends } = rig();
    source.put(path("a"), "a");
    for (const message of ["no signature", "ssh-ng://b1: no signature"]) {
      await provide("one", ["a"]);
      await store.sendings.at(-1)!.fails(new EngineError("store", "REFUSED", message, { hint: "sign it" }));
      expect(ends.at(-1)).toBe("one: ssh-ng://b1: no signature (sign it)");
      expect(reports.at(-1)).toBe("end ssh-ng://b1: no signature");
    }
  });
});

describe("receiving", () => {
  it("fetches outputs in the order of their references and tells of it", async () => {
    const { store, session, reporter, reports } = rig();
    store.put(path("lib"), "lib").put(path("bin"), "bin", [path("lib")]);
    const destination = new SlowStore("destination");
    const wanted = [infoOf(path("bin"), "bin", [path("lib")]), infoOf(path("lib"), "lib")];
    const received = session.receive(wanted, destination, true, reporter, new AbortController().signal);
    await turn();
    expect(destination.sendings).toMatchObject([{ names: ["lib", "bin"], options: { checkSignatures: true } }]);
    await destination.sendings[0]!.arrives();
    await received;
    expect(destination.paths.get(path("bin"))!.contents).toBe("bin");
    expect([reports[0], reports.at(-1)]).toEqual(["download 2 6", "end null"]);
  });

  it("fetches nothing when there is nothing, or the machine is the destination", async () => {
    for (const [isDestination, wanted] of [
      [false, []],
      [true, [infoOf(path("a"), "a")]],
    ] as const) {
      const { session, reporter, reports } = rig({ isDestination });
      const destination = new SlowStore("destination");
      await session.receive(wanted, destination, false, reporter, new AbortController().signal);
      expect([reports, destination.sendings]).toEqual([[], []]);
    }
  });
});

describe("what a machine has to build with", () => {
  const accessWith = (freeBytes: ((signal: AbortSignal) => Promise<number>) | null) =>
    rig({ access: { nixVersion: null, protocol: "", command: null, openScratch: null, freeBytes } }).session;
  const never = (signal: AbortSignal): Promise<number> =>
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));

  it("is what it says, and unknown where it cannot be asked or does not answer in time", async () => {
    const clock = manualClock();
    const { signal } = new AbortController();
    expect(await accessWith(null).askMeans(clock, signal)).toEqual({ type: "notAsked" });
    expect(await accessWith(async () => 7).askMeans(clock, signal)).toEqual({ type: "answered", freeBytes: 7 });
    expect(clock.pending).toBe(0);
    let means: unknown = null;
    const asking = accessWith(never).askMeans(clock, signal);
    void asking.then((answer) => {
      means = answer;
    });
    await clock.advance(9_999);
    await turn();
    expect(means).toBe(null);
    await clock.advance(1);
    expect(await asking).toEqual({ type: "noAnswer" });
  });

  it("is not waited for when the run ends", async () => {
    const abort = new AbortController();
    const asking = accessWith(never).askMeans(manualClock(), abort.signal);
    abort.abort(new Error("the run was ended"));
    await expect(asking).rejects.toThrow("the run was ended");
  });
});
