// The connections to one store: closing waits for nothing that is still being opened.
import { describe, expect, it } from "vitest";
import { Connections } from "../../../../src/engine/stores/remote/connections.ts";
import { createFakeClock } from "../../../support/fake-clock.ts";

interface FakeConnection {
  readonly broken: boolean;
  close(): void;
}

describe("the connections to a store", () => {
  it("give up what is still being opened when they are closed", async () => {
    const given: AbortSignal[] = [];
    const connections = new Connections<FakeConnection>({
      peer: "ssh-ng://nowhere",
      clock: createFakeClock(),
      maxBuilds: 1,
      open: (_use, signal) =>
        new Promise((_resolve, reject) => {
          // A machine that never answers.
          if (signal === undefined) return;
          given.push(signal);
          signal.addEventListener("abort", () => reject(signal.reason));
        }),
      onClose: () => undefined,
    });
    const shared = connections.shared();
    const refused = expect(shared).rejects.toThrow("was closed");
    const build = expect(connections.builds.acquire()).rejects.toThrow("was closed");
    await connections.close();
    await refused;
    await build;
    expect(given.map((signal) => signal.aborted)).toEqual([true, true]);
    await expect(connections.shared()).rejects.toThrow("was closed");
  });
});
