import { describe, expect, it } from "vitest";
import { unlessAborted } from "../../../src/engine/base/unless-aborted.ts";

describe("waiting unless aborted", () => {
  it("gives what comes in time, and what fails in time", async () => {
    const { signal } = new AbortController();
    const late: number[] = [];
    expect(await unlessAborted(Promise.resolve(1), signal, (value) => late.push(value))).toBe(1);
    await expect(unlessAborted(Promise.reject(new Error("no")), signal, () => undefined)).rejects.toThrow("no");
    expect(late).toEqual([]);
  });

  it("ends with the signal, before or while it waits, and hands over what comes too late", async () => {
    for (const isBefore of [true, false]) {
      const abort = new AbortController();
      const slow = Promise.withResolvers<number>();
      const late = Promise.withResolvers<number>();
      if (isBefore) abort.abort(new Error("stopped"));
      const waiting = unlessAborted(slow.promise, abort.signal, late.resolve);
      if (!isBefore) abort.abort(new Error("stopped"));
      await expect(waiting).rejects.toThrow("stopped");
      slow.resolve(7);
      expect(await late.promise).toBe(7);
    }
  });
});
