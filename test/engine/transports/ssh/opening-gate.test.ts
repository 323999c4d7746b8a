import { describe, expect, it } from "vitest";
import { OpeningGate } from "../../../../src/engine/transports/ssh/opening-gate.ts";

const NEVER = new AbortController().signal;

/** Enters for each host in order; says who is inside. */
function crowd(gate: OpeningGate, hosts: readonly string[]) {
  const inside: number[] = [];
  const leave: (() => void)[] = [];
  hosts.forEach((host, i) => {
    void gate.enter(host, NEVER).then((release) => {
      inside.push(i);
      leave[i] = release;
    });
  });
  return { inside, leave };
}

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("the gate", () => {
  it("lets only so many to one host, and others past those who wait", async () => {
    const { inside, leave } = crowd(new OpeningGate(2, 10), ["a", "a", "a", "b", "a"]);
    await settle();
    expect(inside).toEqual([0, 1, 3]);
    leave[1]?.();
    leave[1]?.();
    await settle();
    expect(inside).toEqual([0, 1, 3, 2]);
  });

  it("lets only so many in at all", async () => {
    const { inside, leave } = crowd(new OpeningGate(2, 3), ["a", "a", "b", "b", "c"]);
    await settle();
    expect(inside).toEqual([0, 1, 2]);
    leave[0]?.();
    await settle();
    expect(inside).toEqual([0, 1, 2, 3]);
  });

  it("forgets who gives up waiting", async () => {
    const gate = new OpeningGate(1, 1);
    const release = await gate.enter("a", NEVER);
    const controller = new AbortController();
    const second = gate.enter("a", controller.signal);
    const third = gate.enter("a", NEVER);
    controller.abort(new Error("enough"));
    await expect(second).rejects.toThrow("enough");
    release();
    expect(await third).toBeTypeOf("function");
    await expect(gate.enter("a", controller.signal)).rejects.toThrow("enough");
  });
});
