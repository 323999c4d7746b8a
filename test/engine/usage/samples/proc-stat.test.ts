import { readFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { describe, expect, it } from "vitest";
import {
  parseLoadAverage,
  parseMacLoad,
  parseMacMemory,
  parseMacTop,
  parseMemoryInfo,
  parseProcStat,
} from "../../../../src/engine/usage/samples/proc-stat.ts";

const STAT = `cpu  400 10 200 9000 90 5 6 7 100 0
cpu0 100 5 100 4000 40 2 3 4 50 0
cpu2 300 5 100 5000 50 3 3 3 50 0
intr 1234 0 0
ctxt 99
`;

describe("/proc", () => {
  it("tells each core's busy and whole time; waiting for disks is not busy, guests are not counted twice", () => {
    expect(parseProcStat(STAT)).toEqual({
      type: "counters",
      cores: [
        { core: 0, busy: 100 + 5 + 100 + 2 + 3 + 4, total: 214 + 4000 + 40 },
        { core: 2, busy: 300 + 5 + 100 + 3 + 3 + 3, total: 414 + 5000 + 50 },
      ],
    });
  });

  it("of old kernels has fewer columns, and nonsense has none", () => {
    expect(parseProcStat("cpu0 1 2 3 4\n")).toEqual({ type: "counters", cores: [{ core: 0, busy: 6, total: 10 }] });
    expect(parseProcStat("cpu0 1 2\ncpux 1 2 3 4\n")).toBeNull();
    expect(parseProcStat("")).toBeNull();
  });

  it("tells the load and the memory", () => {
    expect(parseLoadAverage("6.12 4.00 2.50 3/123 4567\n")).toBe(6.12);
    expect(parseLoadAverage("none")).toBeNull();
    expect(parseMemoryInfo("MemTotal:       1000 kB\nMemFree:    100 kB\nMemAvailable:    400 kB\n")).toEqual({
      usedBytes: 600n * 1024n,
      totalBytes: 1000n * 1024n,
    });
    expect(parseMemoryInfo("MemTotal: 1000 kB\nMemFree: 100 kB\nBuffers: 50 kB\nCached: 250 kB\n")?.usedBytes).toBe(
      600n * 1024n,
    );
    expect(parseMemoryInfo("MemTotal: 10 kB\nMemAvailable: 20 kB\n")?.usedBytes).toBe(0n);
    expect(parseMemoryInfo("MemFree: 10 kB\n")).toBeNull();
  });

  it("of this machine agrees with Node", () => {
    const stat = parseProcStat(readFileSync("/proc/stat", "utf8"));
    expect(stat?.cores.length).toBe(cpus().length);
    const memory = parseMemoryInfo(readFileSync("/proc/meminfo", "utf8"));
    expect(memory?.totalBytes).toBe(BigInt(totalmem()));
    expect(parseLoadAverage(readFileSync("/proc/loadavg", "utf8"))).toBeGreaterThanOrEqual(0);
  });
});

describe("macOS's commands, by their documented output", () => {
  it("are read from the last of top's samples", () => {
    const text =
      "CPU usage: 1.0% user, 1.0% sys, 98.0% idle\nProcesses: 5\nCPU usage: 7.22% user, 15.97% sys, 75.0% idle \n";
    expect(parseMacTop(text, 4)).toEqual({ type: "shares", cores: [0.25, 0.25, 0.25, 0.25] });
    expect(parseMacTop("", 4)).toBeNull();
    expect(parseMacLoad("{ 1.59 1.80 1.91 }\n")).toBe(1.59);
    expect(parseMacLoad("{ 1,59 1,80 1,91 }\n")).toBe(1.59);
    const vm =
      "Mach Virtual Memory Statistics: (page size of 16384 bytes)\nPages free:  10.\nPages active:  3.\n" +
      "Pages wired down:  2.\nPages occupied by compressor:  1.\n";
    expect(parseMacMemory(vm, 1_000_000n)).toEqual({ usedBytes: 6n * 16384n, totalBytes: 1_000_000n });
    expect(parseMacMemory("", 1n)).toBeNull();
  });
});
