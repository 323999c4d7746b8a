// What the tests against real Nix share: connections to a Nix on a private machine, and derivations it can build.
import { systemClock } from "../../../src/engine/base/clock.ts";
import type { BasicDerivation } from "../../../src/engine/derivation/derivation.ts";
import { byteStringOf } from "../../../src/engine/formats/byte-string.ts";
import type { StorePath } from "../../../src/engine/formats/store-path.ts";
import { openChildProcess } from "../../../src/engine/transports/child-process.ts";
import type { Transport } from "../../../src/engine/transports/transport.ts";
import { hostSystem } from "../../support/builders.ts";
import type { NixInstance } from "../../support/nix-instance.ts";
import { pathOf } from "./support.ts";

/** Starts a Nix server program on the machine and connects to its standard input and output. */
export function connectTo(instance: NixInstance, program: string, ...args: readonly string[]): Promise<Transport> {
  const command = instance.argv(program, args);
  const options = { command, environment: { PATH: process.env.PATH }, clock: systemClock, stopGraceMs: 2000 };
  return openChildProcess(options, new AbortController().signal);
}

/** A derivation of one output that runs a shell script on the machine; a trusted client may name its output as it likes. */
export function scriptDerivation(
  name: string,
  script: string,
  inputs: readonly StorePath[] = [],
): { readonly drvPath: StorePath; readonly out: StorePath; readonly derivation: BasicDerivation } {
  const out = pathOf(name);
  const env = { builder: "/bin/sh", name, out, system: hostSystem, PATH: "/bin:/usr/bin" };
  return {
    drvPath: pathOf(`${name}.drv`),
    out,
    derivation: {
      name,
      outputs: new Map([["out", { type: "inputAddressed", path: out }]]),
      inputSrcs: new Set(inputs),
      platform: hostSystem,
      builder: byteStringOf("/bin/sh"),
      args: [byteStringOf("-c"), byteStringOf(script)],
      env: new Map(Object.entries(env).map(([key, value]) => [byteStringOf(key), byteStringOf(value)])),
    },
  };
}

/** Options for a connection that builds: no substitution, one job. */
export const buildOptions = {
  keepFailed: false,
  keepGoing: false,
  tryFallback: false,
  verbosity: 3,
  maxBuildJobs: 1,
  maxSilentTime: 0,
  verboseBuild: true,
  buildCores: 1,
  useSubstitutes: false,
  overrides: new Map([["builders", ""]]),
};
