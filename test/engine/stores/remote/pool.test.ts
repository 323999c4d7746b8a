import { describe, expect, it } from "vitest";
import { EngineError } from "../../../../src/engine/base/errors.ts";
import { type Lease, Pool } from "../../../../src/engine/stores/remote/pool.ts";
import { createFakeClock } from "../../../support/fake-clock.ts";
import { createOpenings, FakeConnection, turn } from "../../../support/fake-connections.ts";

/** Opening a connection costs 100 ms wherever time matters. */
const COST_MS = 100;

function rig(max = 4) {
  const clock = createFakeClock();
  const { open, openings } = createOpenings();
  const pool = new Pool<FakeConnection>({ open: (signal) => open("any", signal), max, clock });
  /** Who got a connection, in order. */
  const served: string[] = [];
  const refused = new Map<string, unknown>();
  const leases = new Map<string, Lease<FakeConnection>>();
  const ask = (name: string, signal?: AbortSignal): void => {
    pool.acquire(signal).then(
      (lease) => {
        served.push(name);
        leases.set(name, lease);
      },
      (error: unknown) => refused.set(name, error),
    );
  };
  /** The connection that is opened next takes as long as opening costs. */
  const opened = async (): Promise<FakeConnection> => {
    clock.advance(COST_MS);
    const connection = openings.at(-1)!.done();
    await turn();
    return connection;
  };
  /** One connection is open and lent. Nobody has waited for it. */
  const oneBusy = async (): Promise<FakeConnection> => {
    const warm = pool.warmUp(1);
    const connection = await opened();
    await warm;
    ask("first");
    await turn();
    return connection;
  };
  return { clock, openings, pool, served, refused, leases, ask, opened, oneBusy };
}

describe("a connection", () => {
  it("is opened at once when there is none, and lent again when it comes back", async () => {
    const { ask, openings, opened, served, leases } = rig();
    ask("a");
    expect(openings).toHaveLength(1);
    const connection = await opened();
    leases.get("a")!.release();
    ask("b");
    await turn();
    expect(served).toEqual(["a", "b"]);
    expect(leases.get("b")!.connection).toBe(connection);
    expect(openings).toHaveLength(1);
  });

  it("belongs to the next one after it was given back: ending the lease again does nothing", async () => {
    const { oneBusy, ask, leases, served } = rig(1);
    const connection = await oneBusy();
    leases.get("first")!.release();
    ask("second");
    ask("third");
    await turn();
    leases.get("first")!.discard();
    leases.get("first")!.release();
    await turn();
    expect(connection.isClosed).toBe(false);
    expect(served).toEqual(["first", "second"]);
  });

  it("that was opened elsewhere goes to who waits longest", async () => {
    const { oneBusy, ask, pool, served, leases, openings } = rig();
    await oneBusy();
    ask("second");
    ask("third");
    const adopted = new FakeConnection();
    pool.adopt(adopted);
    await turn();
    expect(served).toEqual(["first", "second"]);
    expect(leases.get("second")!.connection).toBe(adopted);
    expect(openings).toHaveLength(1);
  });

  it("nobody uses is closed when asked, and one that is lent is not", async () => {
    const { oneBusy, pool, leases, ask, openings } = rig();
    const connection = await oneBusy();
    pool.dropIdle();
    expect(connection.isClosed).toBe(false);
    leases.get("first")!.release();
    pool.dropIdle();
    expect(connection.isClosed).toBe(true);
    ask("second");
    expect(openings).toHaveLength(2);
  });
});

describe("another connection", () => {
  it("is opened when one has waited twice as long as opening took", async () => {
    const { oneBusy, ask, clock, openings } = rig();
    await oneBusy();
    ask("second");
    clock.advance(2 * COST_MS);
    expect(openings).toHaveLength(1);
    clock.advance(1);
    expect(openings).toHaveLength(2);
  });

  it("is opened sooner when several wait: their times add up", async () => {
    const { oneBusy, ask, clock, openings } = rig();
    await oneBusy();
    ask("second");
    ask("third");
    clock.advance(COST_MS);
    expect(openings).toHaveLength(1);
    clock.advance(1);
    expect(openings).toHaveLength(2);
  });

  it("is opened sooner when those served before have waited, too", async () => {
    const { oneBusy, ask, clock, openings, leases } = rig();
    await oneBusy();
    ask("second");
    clock.advance(150);
    leases.get("first")!.release();
    await turn();
    ask("third");
    clock.advance(50);
    expect(openings).toHaveLength(1);
    clock.advance(1);
    expect(openings).toHaveLength(2);
  });

  it("is not opened when what they wait for comes in time", async () => {
    const { oneBusy, ask, clock, openings, leases, served } = rig();
    await oneBusy();
    ask("second");
    clock.advance(150);
    leases.get("first")!.release();
    await turn();
    clock.advance(10_000);
    expect(served).toEqual(["first", "second"]);
    expect(openings).toHaveLength(1);
  });

  it("is not opened for one for whom one is being opened, even when the one in use breaks", async () => {
    const { oneBusy, ask, clock, openings, leases } = rig();
    await oneBusy();
    ask("second");
    clock.advance(10_000);
    expect(openings).toHaveLength(2);
    leases.get("first")!.discard();
    expect(openings).toHaveLength(2);
  });

  it("is opened for the next one in turn when more than one has waited long", async () => {
    const { oneBusy, opened, ask, clock, openings, served } = rig();
    await oneBusy();
    ask("second");
    ask("third");
    clock.advance(COST_MS + 1);
    expect(openings).toHaveLength(2);
    await opened();
    clock.advance(2 * COST_MS);
    expect(openings).toHaveLength(3);
    await opened();
    expect(served).toEqual(["first", "second", "third"]);
  });

  it("is paid for by waiting since the last opening: what was waited before it does not count again", async () => {
    const { oneBusy, opened, ask, clock, openings, leases, served } = rig();
    await oneBusy();
    ask("second");
    clock.advance(150);
    leases.get("first")!.release();
    await turn();
    ask("third");
    clock.advance(51);
    expect(openings).toHaveLength(2);
    // It comes too late for the third, and so it is free for the fourth.
    leases.get("second")!.release();
    await turn();
    await opened();
    ask("fourth");
    ask("fifth");
    await turn();
    expect(served).toEqual(["first", "second", "third", "fourth"]);
    expect(openings).toHaveLength(2);
  });

  it("is never opened beyond the greatest number, however long they wait", async () => {
    const { oneBusy, opened, ask, clock, openings, served } = rig(2);
    await oneBusy();
    for (const name of ["second", "third", "fourth"]) ask(name);
    clock.advance(10_000);
    await opened();
    clock.advance(10_000);
    expect(openings).toHaveLength(2);
    expect(served).toEqual(["first", "second"]);
  });

  it("is opened ahead of need as often as asked for, those counted that are there or on their way", async () => {
    const { oneBusy, pool, openings } = rig(4);
    await oneBusy();
    void pool.warmUp(3);
    expect(openings).toHaveLength(3);
    void pool.warmUp(3);
    expect(openings).toHaveLength(3);
    void pool.warmUp(100);
    expect(openings).toHaveLength(4);
  });
});

describe("those who wait", () => {
  it("are served in the order they came", async () => {
    const { oneBusy, ask, leases, served } = rig(1);
    await oneBusy();
    for (const name of ["second", "third"]) ask(name);
    leases.get("first")!.release();
    await turn();
    ask("fourth");
    leases.get("second")!.release();
    await turn();
    leases.get("third")!.release();
    await turn();
    expect(served).toEqual(["first", "second", "third", "fourth"]);
  });

  it("may stop waiting, and the next one gets what they would have got", async () => {
    const { oneBusy, ask, leases, served, refused } = rig(1);
    await oneBusy();
    const [abort, reason] = [new AbortController(), new Error("enough")];
    ask("second");
    ask("third", abort.signal);
    ask("fourth");
    abort.abort(reason);
    await turn();
    expect(refused).toEqual(new Map([["third", reason]]));
    leases.get("first")!.release();
    await turn();
    leases.get("second")!.release();
    await turn();
    expect(served).toEqual(["first", "second", "fourth"]);
  });

  it("get on when the connection they wait for breaks: another one is opened at once", async () => {
    const { oneBusy, opened, ask, leases, served, openings } = rig(1);
    const connection = await oneBusy();
    ask("second");
    connection.broken = true;
    leases.get("first")!.release();
    expect(openings).toHaveLength(2);
    const other = await opened();
    expect(served).toEqual(["first", "second"]);
    expect(leases.get("second")!.connection).toBe(other);
  });

  it("get on when it is thrown away, which closes it", async () => {
    const { oneBusy, ask, leases, openings } = rig(1);
    const connection = await oneBusy();
    ask("second");
    leases.get("first")!.discard();
    expect(connection.isClosed).toBe(true);
    expect(openings).toHaveLength(2);
  });

  it("never get one that broke while nobody used it", async () => {
    const { oneBusy, ask, leases, openings, served } = rig(1);
    const connection = await oneBusy();
    leases.get("first")!.release();
    connection.broken = true;
    ask("second");
    await turn();
    expect(served).toEqual(["first"]);
    expect(openings).toHaveLength(2);
  });

  it("go on waiting for the others when opening one fails", async () => {
    const { oneBusy, ask, clock, leases, openings, served, refused } = rig();
    await oneBusy();
    ask("second");
    clock.advance(10_000);
    openings[1]!.fails(new Error("no more logins"));
    await turn();
    expect(refused.size).toBe(0);
    leases.get("first")!.release();
    await turn();
    expect(served).toEqual(["first", "second"]);
  });

  it("are all told when opening fails and there is none to wait for", async () => {
    const { ask, openings, refused } = rig(1);
    const error = new Error("no route to host");
    for (const name of ["a", "b"]) ask(name);
    openings[0]!.fails(error);
    await turn();
    expect([...refused]).toEqual([
      ["a", error],
      ["b", error],
    ]);
    ask("c");
    expect(openings).toHaveLength(2);
  });
});

describe("closing", () => {
  const reason = new EngineError("transport", "MACHINE_LOST", "it is gone");

  it("refuses who waits and ends what is under way, both with the reason", async () => {
    const { oneBusy, pool, ask, refused, openings, clock } = rig(2);
    const connection = await oneBusy();
    ask("second");
    clock.advance(10_000);
    pool.close(reason);
    await turn();
    expect(refused).toEqual(new Map([["second", reason]]));
    expect([connection.isClosed, connection.reason]).toEqual([true, reason]);
    expect(openings[1]!.signal!.reason).toBe(reason);
  });

  it("closes what comes open afterwards, and what comes back, and opens nothing more", async () => {
    const clock = createFakeClock();
    const { open, openings } = createOpenings();
    // Opening takes no notice of the signal here.
    const pool = new Pool<FakeConnection>({ open: () => open("any", undefined), max: 2, clock });
    const first = pool.acquire();
    openings[0]!.done();
    const lease = await first;
    const second = expect(pool.acquire()).rejects.toBe(reason);
    clock.advance(10_000);
    pool.close(reason);
    await second;
    const late = openings[1]!.done();
    lease.release();
    await turn();
    clock.advance(10_000);
    expect([late.isClosed, lease.connection.isClosed]).toEqual([true, true]);
    expect(openings).toHaveLength(2);
  });

  it("is for good: who asks afterwards is refused, and nothing is opened or taken over any more", async () => {
    const { pool, openings } = rig();
    pool.close(reason);
    await expect(pool.acquire()).rejects.toBe(reason);
    await pool.warmUp(3);
    expect(openings).toEqual([]);
    const { open, openings: elsewhere } = createOpenings();
    const opening = open("build", undefined);
    const late = elsewhere[0]!.done();
    pool.adopt(await opening);
    expect(late.isClosed).toBe(true);
  });
});
