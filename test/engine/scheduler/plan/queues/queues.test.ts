import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Heap } from "../../../../../src/engine/scheduler/plan/queues/heap.ts";
import { ReadyQueue } from "../../../../../src/engine/scheduler/plan/queues/ready-queue.ts";
import { draw, jitteredWait } from "../../../../../src/engine/scheduler/plan/state/random.ts";

const before = (a: number, b: number) => a < b;
const distinct = fc.uniqueArray(fc.integer(), { maxLength: 400 });

describe("a heap", () => {
  it("gives everything back in order", () => {
    fc.assert(
      fc.property(fc.array(fc.integer()), (values) => {
        const heap = new Heap(before);
        for (const value of values) heap.push(value);
        const popped = values.map(() => heap.pop());
        expect(popped).toEqual([...values].sort((a, b) => a - b));
        expect(heap.pop()).toBeUndefined();
      }),
    );
  });
});

describe("a ready queue", () => {
  it("has its front in order, whatever joins and leaves", () => {
    const step = fc.oneof(
      fc.record({ type: fc.constant("add" as const), values: distinct }),
      fc.record({ type: fc.constant("look" as const), place: fc.nat({ max: 200 }) }),
      fc.record({ type: fc.constant("sift" as const), modulus: fc.integer({ min: 2, max: 5 }) }),
      fc.record({ type: fc.constant("reorder" as const) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const queue = new ReadyQueue<number>(before);
        const inside = new Set<number>();
        for (const each of steps) {
          if (each.type === "add") {
            for (const value of each.values) {
              if (inside.has(value)) continue;
              inside.add(value);
              queue.add(value);
            }
          } else if (each.type === "look") {
            const sorted = [...inside].sort((a, b) => a - b);
            for (let place = 0; place <= each.place; place++) expect(queue.at(place)).toBe(sorted[place]);
          } else if (each.type === "sift") {
            // Only what was looked at can be taken out.
            const seen = [0, 1, 2, 3, 4].map((place) => queue.at(place)).filter((value) => value !== undefined);
            const gone = new Set(seen.filter((value) => value % each.modulus === 0));
            queue.sift((value) => !gone.has(value));
            for (const value of gone) inside.delete(value);
          } else {
            queue.reorder((value) => value % 7 !== 0);
            for (const value of inside) if (value % 7 === 0) inside.delete(value);
          }
          expect(queue.size).toBe(inside.size);
          expect(new Set(queue.items())).toEqual(inside);
        }
      }),
    );
  });
});

describe("randomness", () => {
  it("is the same for the same seed, and spread over [0, 1)", () => {
    const draws = (seed: number) => {
      const state = { value: seed };
      return Array.from({ length: 1000 }, () => draw(state));
    };
    expect(draws(7)).toEqual(draws(7));
    expect(draws(7)).not.toEqual(draws(8));
    const mean = draws(3).reduce((sum, value) => sum + value) / 1000;
    expect(mean).toBeGreaterThan(0.45);
    expect(mean).toBeLessThan(0.55);
    expect(Math.max(...draws(3))).toBeLessThan(1);
  });

  it("doubles waits up to their longest", () => {
    const state = { value: 1 };
    const waits = { firstMs: 100, longestMs: 1000 };
    for (const [failures, full] of [
      [0, 100],
      [1, 100],
      [2, 200],
      [3, 400],
      [4, 800],
      [5, 1000],
      [4000, 1000],
    ] as const) {
      const wait = jitteredWait(waits, failures, state);
      expect(wait).toBeGreaterThanOrEqual(full / 2);
      expect(wait).toBeLessThanOrEqual(full);
    }
  });
});
