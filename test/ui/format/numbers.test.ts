import { describe, expect, it } from "vitest";
import { formatBytes, formatBytesOf, formatMiB, formatRate } from "../../../src/ui/format/bytes.ts";
import { formatCounters, plural } from "../../../src/ui/format/counts.ts";
import {
  formatClock,
  formatElapsed,
  formatLaneClock,
  formatRough,
  formatWords,
} from "../../../src/ui/format/duration.ts";
import { storeName } from "../../../src/ui/format/store-name.ts";

describe("lengths of time", () => {
  it("keep their shape while they run", () => {
    expect([0, 7_400, 70_000, 3_761_000].map(formatLaneClock)).toEqual(["00:00", "00:07", "01:10", "1:02:41"]);
    expect([0, 7_000, 730_000, 3_761_000].map(formatClock)).toEqual(["0:00", "0:07", "12:10", "1:02:41"]);
    expect(formatElapsed(161_000)).toBe("00:02:41");
  });

  it("are rough where they are a guess", () => {
    expect([45_000, 360_000, 4_800_000, 7_200_000, 274_000_000].map(formatRough)).toEqual([
      "45s",
      "6m",
      "1h 20m",
      "2h",
      "3d 4h",
    ]);
  });

  it("are words in sentences", () => {
    expect([400, 7_000, 130_000, 3_761_000].map(formatWords)).toEqual(["0.4s", "7s", "2m10s", "1h02m41s"]);
  });

  it("are never negative, whatever a clock says", () => {
    expect([formatClock(-5000), formatElapsed(Number.NaN), formatRough(-1)]).toEqual(["0:00", "00:00:00", "0s"]);
  });
});

describe("amounts", () => {
  it("have Nix's unit where Nix has one", () => {
    expect(formatMiB(19_084_083)).toBe("18.2 MiB");
    expect(formatMiB(104_858, 2)).toBe("0.10 MiB");
  });

  it("have the unit that fits elsewhere", () => {
    expect([0, 812, 3_250_586, 12_884_901_888].map(formatBytes)).toEqual(["0 B", "812 B", "3.1 MiB", "12.0 GiB"]);
    expect(formatBytesOf(12.1 * 2 ** 20, 40 * 2 ** 20)).toBe("12.1/40.0 MiB");
    expect(formatRate(3_250_586)).toBe("3.1 MiB/s");
  });
});

describe("counters", () => {
  const counters = { running: 1, done: 0, expected: 1, failed: 0, downloadedBytes: 0 };

  it("are Nix's: running/done/expected", () => {
    expect(formatCounters(counters)).toBe("[1/0/1 built, 0.0 MiB DL]");
    expect(formatCounters({ running: 3, done: 12, expected: 40, failed: 1, downloadedBytes: 19_084_083 })).toBe(
      "[3/12/40 built (1 failed), 18.2 MiB DL]",
    );
  });

  it("leave out what says nothing", () => {
    expect(formatCounters({ ...counters, running: 0 })).toBe("[0/1 built, 0.0 MiB DL]");
    expect(formatCounters({ ...counters, running: 0, done: 1 })).toBe("[1 built, 0.0 MiB DL]");
  });

  it("agree with their noun", () => {
    expect([plural(1, "build"), plural(2, "build"), plural(2, "line")]).toEqual(["1 build", "2 builds", "2 lines"]);
  });
});

describe("store paths", () => {
  it("have a readable part", () => {
    expect(storeName("/nix/store/5j0i560x5akgyaz7jabz3l8gzwcgb475-hello-2.12.drv")).toBe("hello-2.12");
    expect(storeName("not a path")).toBe("not a path");
  });
});
