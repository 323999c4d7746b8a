import { describe, expect, it } from "vitest";
import type { DerivationOutput } from "../../../src/engine/derivation/derivation.ts";
import { parseDerivationOptions } from "../../../src/engine/derivation/options.ts";
import { byteStringOf } from "../../../src/engine/formats/byte-string.ts";

function options(env: Record<string, string>, output: DerivationOutput = { type: "deferred" }) {
  return parseDerivationOptions({
    name: "x",
    outputs: new Map([["out", output]]),
    env: new Map(Object.entries(env).map(([name, value]) => [byteStringOf(name), byteStringOf(value)])),
  });
}

function structured(attributes: unknown) {
  return options({ __json: JSON.stringify(attributes) });
}

describe("derivation options", () => {
  it("are Nix's defaults where nothing is said", () => {
    const defaults = {
      requiredSystemFeatures: [],
      preferLocalBuild: false,
      allowSubstitutes: true,
      impureHostDeps: [],
      impureEnvVars: [],
      noChroot: false,
      allowLocalNetworking: false,
      additionalSandboxProfile: "",
      passAsFile: [],
      exportReferencesGraph: new Map(),
      unsafeDiscardReferences: [],
    };
    expect(options({})).toMatchObject({
      ...defaults,
      structuredAttrs: null,
      outputChecks: { type: "same", checks: { ignoreSelfReferences: true } },
    });
    expect(structured({})).toMatchObject({
      ...defaults,
      structuredAttrs: {},
      outputChecks: { type: "each", checks: new Map() },
    });
  });

  it("are read from variables", () => {
    expect(
      options({
        requiredSystemFeatures: " kvm\n big-parallel kvm ",
        preferLocalBuild: "1",
        allowSubstitutes: "",
        __impureHostDeps: "/etc /usr/lib",
        impureEnvVars: "http_proxy",
        passAsFile: "text",
        exportReferencesGraph: "a /nix/store/a b /nix/store/b",
        allowedReferences: "",
        __noChroot: "1",
      }),
    ).toMatchObject({
      requiredSystemFeatures: ["big-parallel", "kvm"],
      preferLocalBuild: true,
      allowSubstitutes: false,
      impureHostDeps: ["/etc", "/usr/lib"],
      impureEnvVars: ["http_proxy"],
      passAsFile: ["text"],
      exportReferencesGraph: new Map([
        ["a", ["/nix/store/a"]],
        ["b", ["/nix/store/b"]],
      ]),
      outputChecks: { type: "same", checks: { allowedReferences: [], allowedRequisites: null } },
      noChroot: true,
    });
  });

  it("are read from structured attributes, which hide variables", () => {
    const attributes = {
      requiredSystemFeatures: ["kvm"],
      preferLocalBuild: true,
      allowSubstitutes: false,
      exportReferencesGraph: { graph: ["/nix/store/a", ["/nix/store/b"]] },
      outputChecks: { out: { maxSize: 10, allowedReferences: ["out"] }, dev: {} },
      unsafeDiscardReferences: { out: true, dev: false },
      text: "ünïcödé",
    };
    const read = options({ __json: JSON.stringify(attributes), preferLocalBuild: "", passAsFile: "text" });
    expect(read).toMatchObject({
      requiredSystemFeatures: ["kvm"],
      preferLocalBuild: true,
      allowSubstitutes: false,
      passAsFile: [],
      exportReferencesGraph: new Map([["graph", ["/nix/store/a", "/nix/store/b"]]]),
      unsafeDiscardReferences: ["out"],
      structuredAttrs: attributes,
    });
    expect(read.outputChecks.type === "each" && read.outputChecks.checks.get("out")).toMatchObject({
      maxSize: 10,
      allowedReferences: ["out"],
      ignoreSelfReferences: false,
    });
  });

  it("demand ca-derivations where contents decide the path", () => {
    expect(options({}, { type: "floating", method: "nar", algorithm: "sha256" }).requiredSystemFeatures).toEqual([
      "ca-derivations",
    ]);
    expect(
      options({ requiredSystemFeatures: "kvm" }, { type: "impure", method: "nar", algorithm: "sha256" })
        .requiredSystemFeatures,
    ).toEqual(["ca-derivations", "kvm"]);
  });

  it.each(["{", "", "[]", "null", '"text"'])("say that __json is malformed: '%s'", (json) => {
    expect(() => options({ __json: json })).toThrow("derivation 'x': cannot process __json attribute: ");
    expect(() => options({ __json: json })).toThrow(
      expect.objectContaining({ code: "DRV_BAD_STRUCTURED_ATTRS", family: "format" }),
    );
  });

  it.each([
    [
      { requiredSystemFeatures: "kvm" },
      "attribute 'requiredSystemFeatures': expected a list of strings, found \"kvm\"",
    ],
    [{ preferLocalBuild: "1" }, "attribute 'preferLocalBuild': expected a boolean"],
    [{ outputChecks: [] }, "attribute 'outputChecks': expected an object"],
    [{ outputChecks: { out: 1 } }, "attribute 'outputChecks.out': expected an object"],
    [{ unsafeDiscardReferences: { out: "yes" } }, "attribute 'unsafeDiscardReferences.out'"],
    [{ exportReferencesGraph: { g: 1 } }, "attribute 'exportReferencesGraph'"],
    [{ outputChecks: { out: { maxSize: "1" } } }, "attribute 'maxSize'"],
  ])("name the attribute that has another form: %o", (attributes, message) => {
    expect(() => structured(attributes)).toThrow(message);
  });

  it("refuse what Nix refuses in exportReferencesGraph", () => {
    expect(() => options({ exportReferencesGraph: "one" })).toThrow("pairs of file name and path");
    expect(() => options({ exportReferencesGraph: "../x /nix/store/a" })).toThrow("a file name");
    expect(structured({ exportReferencesGraph: [] }).exportReferencesGraph).toEqual(new Map());
  });
});
