import { describe, expect, it } from "vitest";
import { EngineError } from "../../../../src/engine/base/errors.ts";
import { SshHost } from "../../../../src/engine/transports/ssh/ssh-host.ts";
import type { SshChannel, SshLink } from "../../../../src/engine/transports/ssh/ssh-link.ts";
import { memoryPair } from "../../../support/memory-transport.ts";

/** A link that allows `sessions` channels and can be lost. */
class FakeLink implements SshLink {
  isOpen = true;
  readonly closed: Promise<Error>;
  channels = 0;
  received = 0;
  readonly via = null;
  readonly #sessions: number;
  #resolve: (reason: Error) => void = () => undefined;

  constructor(sessions: number) {
    this.#sessions = sessions;
    this.closed = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  exec(): Promise<SshChannel> {
    if (this.channels >= this.#sessions)
      return Promise.reject(new EngineError("transport", "SSH_CHANNEL_REFUSED", "no more"));
    this.channels++;
    const [transport] = memoryPair();
    const released = transport.closed.then(() => {
      this.channels--;
    });
    return Promise.resolve({ transport, released });
  }

  openSocket(): Promise<SshChannel> {
    return this.exec();
  }

  openTcp(): Promise<never> {
    return Promise.reject(new Error("not here"));
  }

  close(): void {
    this.isOpen = false;
    this.#resolve(new Error("closed"));
  }
}

function fakeHost(sessions: number, channelsPerConnection = 9) {
  const links: FakeLink[] = [];
  const host = new SshHost({
    name: "mac",
    channelsPerConnection,
    login: async () => {
      await Promise.resolve();
      const link = new FakeLink(sessions);
      links.push(link);
      return link;
    },
  });
  return { host, links };
}

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("connections to a host", () => {
  it("are filled before another is opened", async () => {
    const { host, links } = fakeHost(10, 3);
    await Promise.all(Array.from({ length: 7 }, () => host.open("x")));
    expect(links.map((link) => link.channels)).toEqual([3, 3, 1]);
  });

  it("learn how many channels the server really allows, and forget it as channels end", async () => {
    const { host, links } = fakeHost(2, 9);
    const transports = [];
    for (let i = 0; i < 5; i++) transports.push(await host.open("x"));
    expect(links.map((link) => link.channels)).toEqual([2, 2, 1]);
    for (const transport of transports) transport.close();
    await settle();
    await host.open("x");
    expect(links.length).toBe(3);
  });

  it("give up where the server allows no channel at all", async () => {
    const { host } = fakeHost(0);
    await expect(host.open("x")).rejects.toMatchObject({ code: "SSH_CHANNEL_REFUSED" });
  });

  it("are opened anew after a loss", async () => {
    const { host, links } = fakeHost(10);
    await host.open("x");
    links[0]?.close();
    await settle();
    expect(host.connectionCount).toBe(0);
    await host.open("x");
    expect(links.length).toBe(2);
  });

  it("that cannot be opened are tried again by the next who asks", async () => {
    let failures = 1;
    const host = new SshHost({
      name: "mac",
      channelsPerConnection: 9,
      login: () =>
        failures-- > 0
          ? Promise.reject(new EngineError("transport", "SSH_REFUSED", "no"))
          : Promise.resolve(new FakeLink(9)),
    });
    const both = await Promise.allSettled([host.open("x"), host.open("x")]);
    expect(both.map((one) => one.status)).toEqual(["rejected", "rejected"]);
    expect(await host.open("x")).toBeDefined();
  });

  it("end with the host, also those being opened", async () => {
    const { host, links } = fakeHost(9);
    const transport = host.open("x");
    host.close();
    await expect(transport).rejects.toMatchObject({ code: "TRANSPORT_CLOSED" });
    await settle();
    expect(links.every((link) => !link.isOpen)).toBe(true);
    await expect(host.open("x")).rejects.toMatchObject({ code: "TRANSPORT_CLOSED" });
  });
});
