// What clients of either protocol may ask of their builds, and what the settings say where they ask for nothing.
import { describe, expect, it } from "vitest";
import type { ClientOptions } from "../../../../src/engine/protocols/worker/codec.ts";
import { servedBuildOptions } from "../../../../src/engine/stores/exposed/limits.ts";

const defaults = { keepFailed: true, maxSilentTime: 11, timeout: 12, maxLogSize: 13n };
const options = (overrides: Record<string, string>): ClientOptions => ({
  keepFailed: false,
  keepGoing: false,
  tryFallback: false,
  verbosity: 3,
  maxBuildJobs: 4,
  maxSilentTime: 21,
  verboseBuild: true,
  buildCores: 3,
  useSubstitutes: false,
  overrides: new Map(Object.entries(overrides)),
});

describe("servedBuildOptions", () => {
  it("goes by the settings of the server", () => {
    expect(servedBuildOptions(null, null, defaults)).toEqual({ ...defaults, cores: null, keepCheck: true });
  });

  it("goes by what the client has set", () => {
    expect(servedBuildOptions(null, options({ timeout: "22", "build-max-log-size": "23" }), defaults)).toEqual({
      ...{ keepFailed: false, maxSilentTime: 21, timeout: 22, maxLogSize: 23n, cores: 3, keepCheck: false },
    });
    expect(servedBuildOptions(null, options({ timeout: "soon", "run-diff-hook": "true" }), defaults)).toMatchObject({
      ...{ timeout: 12, keepCheck: true },
    });
  });

  it("goes by the limits of the serve protocol before all", () => {
    const limits = { keepFailed: false, maxSilentTime: 31, timeout: 0, maxLogSize: 33n };
    expect(servedBuildOptions(limits, null, defaults)).toEqual({ ...limits, cores: null, keepCheck: false });
  });
});
