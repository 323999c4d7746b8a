import { describe, expect, it } from "vitest";
import { type SignsOfLife, watchLiveness } from "../../../../src/engine/transports/ssh/liveness.ts";
import { manualClock } from "../manual-clock.ts";

function watched(count = 2) {
  const clock = manualClock();
  let signs: SignsOfLife = { received: 0, sent: 0, backlog: 0 };
  const silences: number[] = [];
  const stop = watchLiveness({
    clock,
    intervalMs: 1000,
    count,
    signs: () => signs,
    onSilence: (ms) => silences.push(ms),
  });
  return { clock, silences, stop, see: (seen: Partial<SignsOfLife>) => (signs = { ...signs, ...seen }) };
}

describe("a watched connection", () => {
  it("is given up after so many intervals in silence, once", async () => {
    const { clock, silences } = watched();
    await clock.advance(2999);
    expect(silences).toEqual([]);
    await clock.advance(1);
    await clock.advance(10_000);
    expect(silences).toEqual([2000]);
    expect(clock.pending).toBe(0);
  });

  it("lives while anything arrives", async () => {
    const { clock, silences, see } = watched();
    for (let i = 1; i < 10; i++) {
      see({ received: i });
      await clock.advance(2000);
    }
    expect(silences).toEqual([]);
  });

  it("lives while a backlog moves, but not because the system takes a question", async () => {
    const slow = watched();
    for (let i = 1; i < 10; i++) {
      slow.see({ sent: i * 1000, backlog: 2e6 - i * 1000 });
      await slow.clock.advance(1000);
    }
    expect(slow.silences).toEqual([]);
    const dead = watched();
    for (let i = 1; i < 5; i++) {
      dead.see({ sent: i * 50, backlog: 0 });
      await dead.clock.advance(1000);
    }
    expect(dead.silences).toEqual([2000]);
    const stuck = watched();
    stuck.see({ sent: 5, backlog: 2e6 });
    await stuck.clock.advance(4000);
    expect(stuck.silences).toEqual([2000]);
  });

  it("is left alone when told, or when no interval is set", async () => {
    const { clock, silences, stop } = watched();
    stop();
    await clock.advance(10_000);
    expect(silences).toEqual([]);
    watchLiveness({
      clock,
      intervalMs: 0,
      count: 1,
      signs: () => ({ received: 0, sent: 0, backlog: 0 }),
      onSilence: () => silences.push(1),
    });
    await clock.advance(10_000);
    expect(silences).toEqual([]);
  });
});
