import { execFileSync } from "node:child_process";
import { cpus } from "node:os";
import { describe, expect, it } from "vitest";
import { systemClock } from "../../../src/engine/base/clock.ts";
import type { UsageEvent } from "../../../src/engine/events/event.ts";
import type { MachineId } from "../../../src/engine/events/ids.ts";
import { childProcessOpener } from "../../../src/engine/transports/child-process.ts";
import type { Transport, TransportOpener } from "../../../src/engine/transports/transport.ts";
import { probeLocal, probeRemote } from "../../../src/engine/usage/probe.ts";
import { SAMPLER_COMMAND, SamplerReader } from "../../../src/engine/usage/samples/sampler-command.ts";
import { memoryPair } from "../../support/memory-transport.ts";
import { hasPrograms } from "../../support/tools.ts";
import { manualClock } from "../transports/manual-clock.ts";

const machine = "mac" as MachineId;

describe("the sampler", () => {
  for (const shell of [["sh"], ["bash"], ["busybox", "sh"]]) {
    const [program = "sh", ...args] = shell;
    it.skipIf(!hasPrograms(program))(`prints one sample a line under ${program} and ends with its input`, () => {
      const text = execFileSync(program, [...args, "-c", SAMPLER_COMMAND], {
        input: "\n\n\n",
        timeout: 10_000,
      }).toString();
      const messages = new SamplerReader().push(text);
      expect(messages.map((message) => message.type)).toEqual(["ready", "sample", "sample", "sample"]);
      const last = messages[3];
      expect(last?.type === "sample" && last.sample.processor.cores.length).toBe(cpus().length);
    });
  }

  it("is understood whole, byte by byte, and behind a chatty login shell", () => {
    const text = execFileSync("sh", ["-c", SAMPLER_COMMAND], { input: "\n" }).toString();
    const whole = new SamplerReader().push(text);
    const reader = new SamplerReader();
    const pieces = [...`Welcome to mac!\r\n\r\n${text.replaceAll("\n", "\r\n")}`].flatMap((character) =>
      reader.push(character),
    );
    expect(pieces).toEqual(whole);
  });

  it.each([
    ["tsbuild-top-sampler none OpenBSD\n", "OpenBSD is not supported"],
    ["hello\n".repeat(300), "the account runs another command than the one asked for"],
    ["x".repeat(600_000), "it prints a line without end"],
    [`tsbuild-top-sampler linux\n@processor\n${"junk\n".repeat(200_000)}`, "a sample is too large"],
    ["tsbuild-top-sampler linux\n@processor\nx\n@end\n", "its figures are not understood"],
  ])("that is none is told apart", (text, reason) => {
    const reader = new SamplerReader();
    expect(reader.push(text).at(-1)).toEqual({ type: "unusable", reason });
    expect(reader.push("tsbuild-top-sampler linux\n")).toEqual([]);
  });
});

function openerOf(transport: Transport): TransportOpener {
  return { name: "memory", open: () => Promise.resolve(transport), heard: () => null, close: () => transport.close() };
}

const sampleText = (busy: number, total: number): string =>
  `@processor\ncpu0 ${busy} 0 0 ${total - busy} 0\n@load\n1.00 1 1 1/1 1\n@memory\nMemTotal: 10 kB\nMemAvailable: 4 kB\n@end\n`;

describe("a remote probe", () => {
  it("asks at its interval, publishes what lies between, and closes when stopped", async () => {
    const clock = manualClock();
    const [here, there] = memoryPair();
    const events: UsageEvent[] = [];
    const requests: string[] = [];
    void (async () => {
      for await (const chunk of there.input) {
        requests.push(Buffer.from(chunk).toString());
        await there.write(Buffer.from(sampleText(50 * requests.length, 100 * requests.length)));
      }
    })();
    const probe = probeRemote(
      { machine, clock, intervalMs: 2000, publish: (event) => events.push(event) },
      openerOf(here),
    );
    await there.write(Buffer.from("tsbuild-top-sampler linux\n"));
    await clock.advance(0);
    expect(requests).toEqual(["\n"]);
    expect(events).toEqual([]);
    await clock.advance(500);
    expect(events).toEqual([
      {
        type: "usageSampled",
        machine,
        host: null,
        cores: [0.5],
        load1: 1,
        memoryUsedBytes: "6144",
        memoryTotalBytes: "10240",
      },
    ]);
    await clock.advance(1999);
    expect(events.length).toBe(1);
    await clock.advance(1);
    expect(events.length).toBe(2);
    probe.stop();
    await clock.advance(10_000);
    expect(events.length).toBe(2);
    expect((await there.closed).type).toBe("closedThere");
    expect(clock.pending).toBe(0);
  });

  it("says once that a machine cannot be sampled", async () => {
    const clock = manualClock();
    const [here, there] = memoryPair();
    const events: UsageEvent[] = [];
    probeRemote({ machine, clock, intervalMs: 1000, publish: (event) => events.push(event) }, openerOf(here));
    await there.write(Buffer.from("tsbuild-top-sampler none Plan9\n"));
    await clock.advance(100_000);
    expect(events).toEqual([{ type: "usageUnavailable", machine, reason: "Plan9 is not supported" }]);
    expect((await there.closed).type).toBe("closedThere");
  });

  it("does not wait for ever for an account that runs something else", async () => {
    const clock = manualClock();
    const [here] = memoryPair();
    const events: UsageEvent[] = [];
    probeRemote({ machine, clock, intervalMs: 1000, publish: (event) => events.push(event) }, openerOf(here));
    await clock.advance(15_000);
    expect(events).toMatchObject([{ type: "usageUnavailable", reason: expect.stringContaining("forced command") }]);
  });

  it("says why it could not begin", async () => {
    const events: UsageEvent[] = [];
    const opener = {
      name: "x",
      open: () => Promise.reject(new Error("refused")),
      heard: () => null,
      close: () => undefined,
    };
    probeRemote({ machine, clock: manualClock(), intervalMs: 1000, publish: (event) => events.push(event) }, opener);
    await new Promise((resolve) => setImmediate(resolve));
    expect(events).toEqual([{ type: "usageUnavailable", machine, reason: "refused" }]);
  });

  it("samples this machine through a real shell", async () => {
    const opener = childProcessOpener({
      command: ["sh", "-c", SAMPLER_COMMAND],
      environment: process.env,
      clock: systemClock,
      stopGraceMs: 1000,
    });
    const event = await new Promise<UsageEvent>((resolve) =>
      probeRemote({ machine, clock: systemClock, intervalMs: 100, publish: resolve }, opener),
    );
    opener.close();
    expect(event.type === "usageSampled" && event.cores.length).toBe(cpus().length);
    let stopLocal: () => void = () => undefined;
    const local = await new Promise<UsageEvent>((resolve) => {
      const probe = probeLocal({ machine, clock: systemClock, intervalMs: 50, publish: resolve });
      stopLocal = () => probe.stop();
    });
    stopLocal();
    // Both are this host, and say so.
    expect(event.type === "usageSampled" && event.host).toMatch(/^[0-9a-f-]{36}$/);
    expect(local).toMatchObject({ host: event.type === "usageSampled" ? event.host : "" });
  });
});

describe("a local probe", () => {
  it("reads /proc at its interval until stopped", async () => {
    const clock = manualClock();
    const events: UsageEvent[] = [];
    let reads = 0;
    const probe = probeLocal({ machine, clock, intervalMs: 1000, publish: (event) => events.push(event) }, (path) => {
      if (path === "/proc/stat") reads++;
      if (path === "/proc/stat") return Promise.resolve(`cpu0 ${reads * 25} 0 0 ${reads * 75}\n`);
      return Promise.resolve(path === "/proc/loadavg" ? "0.5 0 0 1/1 1\n" : "MemTotal: 8 kB\nMemAvailable: 8 kB\n");
    });
    await clock.advance(500);
    await clock.advance(2000);
    expect(events.map((event) => (event.type === "usageSampled" ? event.cores : event.reason))).toEqual([
      [0.25],
      [0.25],
      [0.25],
    ]);
    probe.stop();
    await clock.advance(5000);
    expect(events.length).toBe(3);
  });

  it("says once that there is no /proc", async () => {
    const events: UsageEvent[] = [];
    probeLocal({ machine, clock: manualClock(), intervalMs: 1000, publish: (event) => events.push(event) }, () =>
      Promise.reject(new Error("ENOENT")),
    );
    await new Promise((resolve) => setImmediate(resolve));
    expect(events).toEqual([{ type: "usageUnavailable", machine, reason: "/proc cannot be read: ENOENT" }]);
  });

  it("works on this machine", async () => {
    const event = await new Promise<UsageEvent>((resolve) => {
      const probe = probeLocal({
        machine,
        clock: systemClock,
        intervalMs: 50,
        publish: (sampled) => {
          probe.stop();
          resolve(sampled);
        },
      });
    });
    expect(event.type).toBe("usageSampled");
  });
});
