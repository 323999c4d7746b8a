import { describe, expect, it } from "vitest";
import { parseDerivationOptions } from "../../../../../../src/engine/derivation/options.ts";
import { byteStringOf } from "../../../../../../src/engine/formats/byte-string.ts";
import type { PathInfo } from "../../../../../../src/engine/formats/path-info.ts";
import { parseStorePath, type StorePath } from "../../../../../../src/engine/formats/store-path.ts";
import { outputFault } from "../../../../../../src/engine/stores/embedded/executor/outputs/output-checks.ts";

const path = (digit: string, name: string): StorePath => parseStorePath(`/nix/store/${digit.repeat(32)}-${name}`);
const out = path("0", "out");
const dev = path("1", "dev");
const lib = path("2", "lib");
const deep = path("3", "deep");

function info(of: StorePath, references: StorePath[], narSize = 100n): PathInfo {
  return {
    path: of,
    deriver: null,
    narHash: new Uint8Array(32),
    narSize,
    references,
    registrationTime: 0n,
    ultimate: true,
    signatures: [],
    contentAddress: null,
  };
}

const valid = new Map([
  [lib, info(lib, [deep])],
  [deep, info(deep, [])],
]);

function fault(env: Record<string, string>, references: StorePath[]): string | null {
  const options = parseDerivationOptions({
    name: "x",
    outputs: new Map(),
    env: new Map(Object.entries(env).map(([name, value]) => [byteStringOf(name), byteStringOf(value)])),
  });
  const outputs = new Map([
    ["out", info(out, references)],
    ["dev", info(dev, [])],
  ]);
  return outputFault(options, outputs, (of) => valid.get(of) ?? null);
}

const refused = (...paths: StorePath[]): string =>
  `output '${out}' is not allowed to refer to the following paths:${paths.map((one) => `\n  ${one}`).join("")}`;

describe("output checks", () => {
  it("allow what is named, by path or by output", () => {
    expect(fault({}, [out, dev, lib])).toBeNull();
    expect(fault({ allowedReferences: `${lib} dev out` }, [out, dev, lib])).toBeNull();
    expect(fault({ allowedReferences: "dev" }, [dev, lib])).toBe(refused(lib));
    expect(fault({ allowedReferences: "" }, [out])).toBe(refused(out));
  });

  it("look through the whole closure for requisites, without the path itself", () => {
    expect(fault({ allowedRequisites: `${lib}` }, [out, lib])).toBe(refused(deep));
    expect(fault({ allowedRequisites: `${lib} ${deep}` }, [out, lib])).toBeNull();
    expect(fault({ disallowedRequisites: deep }, [lib])).toBe(refused(deep));
    expect(fault({ disallowedReferences: deep }, [lib])).toBeNull();
    expect(fault({ disallowedReferences: `${dev} ${lib}` }, [dev, lib])).toBe(refused(dev, lib));
  });

  it("say when a name means nothing", () => {
    expect(fault({ allowedReferences: "doc" }, [])).toBe("derivation contains an illegal reference specifier 'doc'");
  });

  it("limit sizes, output by output, with structured attributes", () => {
    const json = (checks: unknown): Record<string, string> => ({ __json: JSON.stringify({ outputChecks: checks }) });
    expect(fault(json({ out: { maxSize: 99 } }), [])).toBe(
      `path '${out}' is too large at 100 bytes; limit is 99 bytes`,
    );
    expect(fault(json({ out: { maxClosureSize: 299 } }), [lib])).toBe(
      `closure of path '${out}' is too large at 300 bytes; limit is 299 bytes`,
    );
    expect(
      fault(json({ out: { maxSize: 100, maxClosureSize: 300 }, dev: { allowedReferences: [] } }), [lib]),
    ).toBeNull();
    expect(fault(json({ out: { disallowedRequisites: ["out"] } }), [])).toBe(refused(out));
  });
});
