// What every transport must do; run by each implementation with peers of three kinds.
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { Transport } from "../../src/engine/transports/transport.ts";

/**
 * `echo` sends back what it gets and ends when its input ends; `silent` never reads; `leaves` waits for one line, prints `bye` beside the
 * protocol where there is a side channel, and ends with status 7 where there is a status.
 */
export type PeerKind = "echo" | "silent" | "leaves";

/** What an implementation can do beyond bytes. */
export interface TransportFeatures {
  readonly hasStderr: boolean;
  readonly hasExitCode: boolean;
}

/** Bytes in pieces of uneven sizes. */
export function* pieces(total: number, seed = 1): Generator<Buffer> {
  let state = seed;
  for (let sent = 0; sent < total; ) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const size = Math.min(total - sent, 1 + (state % 50_000));
    yield Buffer.alloc(size, state & 0xff);
    sent += size;
  }
}

/** Declares the suite; `open` makes a fresh transport to a peer. */
export function transportContract(
  name: string,
  open: (peer: PeerKind) => Promise<Transport>,
  features: TransportFeatures,
): void {
  describe(`${name} as a transport`, () => {
    it("carries bytes both ways, whole and in order", async () => {
      const transport = await open("echo");
      const total = 3 * 1024 * 1024 + 17;
      const sent = createHash("sha256");
      const writing = (async () => {
        for (const piece of pieces(total)) {
          sent.update(piece);
          await transport.write(piece);
        }
      })();
      const received = createHash("sha256");
      let count = 0;
      for await (const chunk of transport.input) {
        received.update(chunk);
        count += chunk.length;
        if (count >= total) break;
      }
      await writing;
      expect(count).toBe(total);
      expect(received.digest("hex")).toBe(sent.digest("hex"));
      transport.close();
      expect(await transport.closed).toEqual({ type: "closedHere" });
    });

    it("makes a writer wait whose peer does not read, and refuses it when closed", async () => {
      const transport = await open("silent");
      const chunk = Buffer.alloc(64 * 1024);
      let written = 0;
      let waiting: Promise<void> | null = null;
      while (waiting === null && written < 64 * 1024 * 1024) {
        const write = transport.write(chunk);
        written += chunk.length;
        const outcome = await Promise.race([
          write.then(() => "more"),
          new Promise((resolve) => setTimeout(resolve, 400, "wait")),
        ]);
        if (outcome === "wait") waiting = write;
      }
      expect(waiting).not.toBeNull();
      transport.close();
      await expect(waiting).rejects.toThrow();
      await expect(transport.write(chunk)).rejects.toThrow(/closed/);
    });

    it("ends its input when closed here, also for a reader that waits", async () => {
      const transport = await open("echo");
      const reading = (async () => {
        let bytes = 0;
        for await (const chunk of transport.input) bytes += chunk.length;
        return bytes;
      })();
      await new Promise((resolve) => setTimeout(resolve, 20));
      transport.close();
      transport.close();
      expect(await reading).toBe(0);
      expect(await transport.closed).toEqual({ type: "closedHere" });
    });

    it("says that and how the peer has ended", async () => {
      const transport = await open("leaves");
      await transport.write(Buffer.from("go\n"));
      for await (const _ of transport.input);
      const reason = await transport.closed;
      expect(reason).toEqual({ type: "closedThere", exitCode: features.hasExitCode ? 7 : null, signal: null });
      expect(transport.stderrTail()).toBe(features.hasStderr ? "bye\n" : "");
      let said = "";
      for await (const chunk of transport.stderr) said += Buffer.from(chunk).toString();
      expect(said).toBe(features.hasStderr ? "bye\n" : "");
      await expect(transport.write(Buffer.from("more"))).rejects.toThrow();
    });

    it("settles `closed` also when nobody reads", async () => {
      const transport = await open("leaves");
      await transport.write(Buffer.from("go\n"));
      expect((await transport.closed).type).toBe("closedThere");
    });
  });
}
