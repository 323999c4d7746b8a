import { describe, expect, it } from "vitest";
import { systemClock } from "../../../src/engine/base/clock.ts";
import { Transports } from "../../../src/engine/transports/open.ts";
import { NO_SSH_SETTINGS } from "../../../src/engine/transports/ssh/config/ssh-settings.ts";
import { readAll } from "./ssh/ssh-bench.ts";

const transports = new Transports({
  clock: systemClock,
  environment: process.env,
  notice: () => undefined,
  stopGraceMs: 50,
});
const target = (host: string, user: string | null = null) => ({
  destination: { user, host, port: null },
  sshKey: null,
  publicHostKey: null,
  compress: false,
  settings: NO_SSH_SETTINGS,
});

describe("an opener", () => {
  it("of localhost with a remote-program runs it here, without SSH", async () => {
    const opener = transports.opener({
      type: "ssh",
      target: target("localhost"),
      service: { type: "nix", nix: { protocol: "worker", program: ["echo", "here:"], store: "/s" } },
    });
    expect(opener.name).toBe("echo here: --stdio --store /s");
    expect(await readAll(await opener.open())).toBe("here: --stdio --store /s\n");
  });

  it("of localhost without one, and of any other name for this machine, is SSH", () => {
    const nix = { protocol: "worker", program: [], store: null } as const;
    expect(transports.opener({ type: "ssh", target: target("localhost"), service: { type: "nix", nix } }).name).toBe(
      "localhost",
    );
    const withProgram = { ...nix, program: ["echo"] };
    expect(
      transports.opener({ type: "ssh", target: target("127.0.0.1"), service: { type: "nix", nix: withProgram } }).name,
    ).toBe("127.0.0.1");
    expect(
      transports.opener({ type: "ssh", target: target("localhost", "me"), service: { type: "nix", nix: withProgram } })
        .name,
    ).toBe("me@localhost");
  });

  it("names what it leads to, and shares a host's connections", () => {
    expect(transports.opener({ type: "unixSocket", path: "/run/x" }).name).toBe("unix:///run/x");
    expect(transports.opener({ type: "childProcess", command: ["nix-daemon", "--stdio"] }).name).toBe(
      "nix-daemon --stdio",
    );
    expect(transports.sshHost(target("mac"))).toBe(transports.sshHost(target("mac")));
    expect(transports.sshHost(target("mac"))).not.toBe(transports.sshHost(target("mac", "nix")));
    expect(() => transports.sshHost(target("-evil"))).toThrow(expect.objectContaining({ code: "SSH_BAD_HOST" }));
  });
});
