// The connections to one store: who shares one and who never does, and that closing waits for nothing that is still being opened.
import { describe, expect, it } from "vitest";
import { EngineError } from "../../../../src/engine/base/errors.ts";
import {
  Connections,
  type ConnectionsOptions,
  streamWithLease,
  withLease,
} from "../../../../src/engine/stores/remote/connections.ts";
import { createFakeClock } from "../../../support/fake-clock.ts";
import { createOpenings, type FakeConnection, turn } from "../../../support/fake-connections.ts";

function rig(changes: Partial<ConnectionsOptions<FakeConnection>> = {}) {
  const clock = createFakeClock();
  const { open, openings } = createOpenings();
  const closed: string[] = [];
  const connections = new Connections<FakeConnection>({
    ...{ peer: "ssh-ng://nowhere", clock, maxBuilds: 2, open },
    onClose: () => closed.push("closed"),
    ...changes,
  });
  /** Everything that is being opened is open now. */
  const opened = async (): Promise<FakeConnection[]> => {
    const made = openings.splice(0).map((opening) => opening.done());
    await turn();
    return made;
  };
  return { clock, connections, openings, opened, closed };
}

describe("questions", () => {
  it("of all callers share one connection, which one caller's end of waiting does not take away", async () => {
    const { connections, openings, opened } = rig();
    const [abort, reason] = [new AbortController(), new Error("enough")];
    const impatient = expect(connections.shared(abort.signal)).rejects.toBe(reason);
    const patient = connections.shared();
    expect(openings.map(({ use }) => use)).toEqual(["query"]);
    abort.abort(reason);
    await impatient;
    const [connection] = await opened();
    expect(await patient).toBe(connection);
    expect(await connections.shared()).toBe(connection);
    expect(openings).toEqual([]);
  });

  it("wait until the connection has been prepared", async () => {
    const prepared = Promise.withResolvers<void>();
    const { connections, opened } = rig({ prepareShared: () => prepared.promise });
    let isThere = false;
    const shared = connections.shared().then(() => {
      isThere = true;
    });
    await opened();
    expect(isThere).toBe(false);
    prepared.resolve();
    await shared;
  });

  it("get another connection when theirs has broken, or when none could be opened", async () => {
    const { connections, openings, opened } = rig();
    const failing = expect(connections.shared()).rejects.toThrow("no route");
    openings.splice(0)[0]!.fails(new Error("no route"));
    await failing;
    const first = connections.shared();
    await opened();
    (await first).broken = true;
    const second = connections.shared();
    await turn();
    const [connection] = await opened();
    expect(await second).toBe(connection);
  });

  it("are asked once more when the connection turns out to be gone, and only once", async () => {
    const { connections, opened } = rig();
    const asked: FakeConnection[] = [];
    const answer = connections.ask((connection) => {
      asked.push(connection);
      connection.broken = true;
      return Promise.reject(new Error(`gone ${asked.length}`));
    });
    const refused = expect(answer).rejects.toThrow("gone 2");
    const made = [...(await opened()), ...(await opened())];
    await refused;
    expect(asked).toEqual(made);
    expect(made).toHaveLength(2);
  });

  it("are asked only once when they are refused, or not waited for any longer", async () => {
    const { connections, openings, opened } = rig();
    let asked = 0;
    const refusing = connections.ask(() => Promise.reject(new Error(`refused ${++asked}`)));
    const refused = expect(refusing).rejects.toThrow("refused 1");
    await opened();
    await refused;
    const abort = new AbortController();
    const left = connections.ask(async (other) => {
      await turn();
      other.broken = true;
      abort.abort(new Error("enough"));
      throw new Error("gone");
    }, abort.signal);
    await expect(left).rejects.toThrow("enough");
    expect(openings).toEqual([]);
  });
});

describe("connections of their own", () => {
  it("have transfers, large ones never one that small ones use", async () => {
    const { clock, connections, openings, opened } = rig();
    const large = [true, true, true].map(async (each) => connections.transfer(each));
    const [, second] = await opened();
    clock.advance(10_000);
    // Two at once; a connection small ones have is of no use to the third.
    expect(openings).toEqual([]);
    const small = connections.transfer(false);
    const [own] = await opened();
    (await small).release();
    let third: FakeConnection | null = null;
    const served = large[2]!.then(({ connection }) => {
      third = connection;
    });
    await turn();
    expect(third).toBe(null);
    (await large[1]!).release();
    await served;
    expect(third).toBe(second);
    expect((await connections.transfer(false)).connection).toBe(own);
  });

  it("have builds, as many as may run at once", async () => {
    for (const [maxBuilds, expected] of [
      [2, 2],
      [0, 1],
    ] as const) {
      const { connections, openings } = rig({ maxBuilds });
      for (let i = 0; i < 3; i++) void connections.builds.acquire();
      void connections.builds.warmUp(3);
      expect(openings.map(({ use }) => use)).toEqual(Array.from({ length: expected }, () => "build"));
    }
  });

  it("have those who ask for a fresh one, which nobody else gets", async () => {
    const { connections, openings, opened } = rig();
    const fresh = connections.fresh();
    const [first] = await opened();
    expect(await fresh).toBe(first);
    void connections.fresh();
    void connections.shared();
    expect(openings.map(({ use }) => use)).toEqual(["query", "query"]);
  });
});

describe("dropping what nobody uses", () => {
  it("closes what is idle and what questions share, and leaves what is at work", async () => {
    const { connections, openings, opened } = rig();
    const shared = connections.shared();
    const [asking] = await opened();
    await shared;
    const busy = connections.builds.acquire();
    const idle = [connections.transfer(false), connections.transfer(true)];
    const [building, small, large] = await opened();
    for (const lease of idle) (await lease).release();
    await connections.dropUnused();
    await busy;
    expect([asking, small, large].map((each) => each!.isClosed)).toEqual([true, true, true]);
    expect(building!.isClosed).toBe(false);
    void connections.shared();
    expect(openings).toHaveLength(1);
  });
});

describe("closing", () => {
  it("gives up what is still being opened, and refuses who asks afterwards", async () => {
    const { connections, openings } = rig();
    const refused = [connections.shared(), connections.builds.acquire(), connections.transfer(true)].map((each) =>
      expect(each).rejects.toThrow("ssh-ng://nowhere was closed"),
    );
    await connections.close();
    await Promise.all(refused);
    expect(openings.map(({ signal }) => signal!.aborted)).toEqual([true, true, true]);
    await expect(connections.shared()).rejects.toThrow("was closed");
  });

  it("ends with the given reason whatever is under way, and only then says that all is closed", async () => {
    const reason = new EngineError("transport", "MACHINE_LOST", "it is gone");
    const made: FakeConnection[] = [];
    const closedBefore: boolean[] = [];
    const { connections, opened } = rig({ onClose: () => closedBefore.push(...made.map((each) => each.isClosed)) });
    const leases = [connections.builds.acquire(), connections.transfer(false), connections.transfer(true)];
    void connections.shared();
    made.push(...(await opened()));
    await Promise.all(leases);
    await connections.close(reason);
    expect(closedBefore).toEqual([true, true, true, true]);
    expect(made.map((each) => each.reason)).toEqual([reason, reason, reason, reason]);
  });
});

describe("preparing the connection for questions", () => {
  it("is not waited for when all is closed, and its connection is closed with the rest", async () => {
    const { connections, opened, closed } = rig({ prepareShared: () => new Promise(() => undefined) });
    connections.shared().catch(() => undefined);
    const [connection] = await opened();
    await connections.close();
    expect([connection!.isClosed, closed]).toEqual([true, ["closed"]]);
  });

  it("closes the connection when it fails", async () => {
    const { connections, opened } = rig({ prepareShared: () => Promise.reject(new Error("no")) });
    const refused = expect(connections.shared()).rejects.toThrow("no");
    const [connection] = await opened();
    await refused;
    expect(connection!.isClosed).toBe(true);
  });
});

describe("work on a lease", () => {
  /** What becomes of the connection, and how the work ended. */
  async function outcome(
    work: (connection: FakeConnection) => Promise<string>,
    { mayKeep = false, signal }: { mayKeep?: boolean; signal?: AbortSignal } = {},
  ): Promise<[string, "kept" | "closed"]> {
    const { connections, opened } = rig();
    const leased = connections.transfer(true);
    const [connection] = await opened();
    const ended = withLease(await leased, signal, () => mayKeep, work);
    const text = await ended.catch((error: Error) => error.message);
    if (connection!.isClosed) return [text, "closed"];
    // It went back: the next one gets it.
    expect((await connections.transfer(true)).connection).toBe(connection);
    return [text, "kept"];
  }

  it("gives the connection back when it went well, or failed in a way that leaves it as good as before", async () => {
    expect(await outcome(async () => "done")).toEqual(["done", "kept"]);
    expect(await outcome(() => Promise.reject(new Error("refused")), { mayKeep: true })).toEqual(["refused", "kept"]);
    expect(await outcome(() => Promise.reject(new Error("broke off")))).toEqual(["broke off", "closed"]);
  });

  it("is stopped by closing the connection when it is not wanted any longer", async () => {
    const abort = new AbortController();
    const stopped = await outcome(
      (connection) => {
        abort.abort(new Error("enough"));
        expect(connection.isClosed).toBe(true);
        return Promise.reject(new Error("the connection was closed"));
      },
      { mayKeep: true, signal: abort.signal },
    );
    expect(stopped).toEqual(["enough", "closed"]);
    expect(await outcome(async () => "begun", { signal: abort.signal })).toEqual(["enough", "closed"]);
  });

  it("may be a stream, which gives the connection back only at its end", async () => {
    async function* twoPieces(): AsyncGenerator<Uint8Array> {
      yield Buffer.from("one");
      yield Buffer.from("two");
    }
    const read = async (pieces: number, abort?: AbortController): Promise<[number, boolean, string]> => {
      const { connections, opened } = rig();
      const leased = connections.transfer(true);
      const [connection] = await opened();
      let [seen, failure] = [0, ""];
      try {
        for await (const _ of streamWithLease(await leased, abort?.signal, (used) => untilClosed(used, twoPieces()))) {
          if (++seen === pieces) break;
          abort?.abort(new Error("enough"));
        }
      } catch (error) {
        failure = (error as Error).message;
      }
      return [seen, connection!.isClosed, failure];
    };
    expect(await read(3)).toEqual([2, false, ""]);
    expect(await read(1)).toEqual([1, true, ""]);
    expect(await read(3, new AbortController())).toEqual([1, true, "enough"]);
  });
});

/** A stream that fails once its connection is closed. */
async function* untilClosed(
  connection: FakeConnection,
  stream: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const piece of stream) {
    if (connection.isClosed) throw new Error("the connection was closed");
    yield piece;
  }
}
