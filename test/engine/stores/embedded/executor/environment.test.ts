import { describe, expect, it } from "vitest";
import type { BasicDerivation } from "../../../../../src/engine/derivation/derivation.ts";
import { parseDerivationOptions } from "../../../../../src/engine/derivation/options.ts";
import { type ByteString, byteStringOf, textOf } from "../../../../../src/engine/formats/byte-string.ts";
import { parseStorePath } from "../../../../../src/engine/formats/store-path.ts";
import { makeEnvironment } from "../../../../../src/engine/stores/embedded/executor/environment.ts";

const out = parseStorePath("/nix/store/00000000000000000000000000000000-x");

function environment(env: Record<string, string>, more: { fixed?: boolean; rewrites?: Record<string, string> } = {}) {
  const derivation: BasicDerivation = {
    name: "x",
    outputs: new Map([["out", { type: "inputAddressed", path: out }]]),
    inputSrcs: new Set(),
    platform: "x86_64-linux",
    builder: byteStringOf("/bin/sh"),
    args: [],
    env: new Map(Object.entries(env).map(([name, value]) => [byteStringOf(name), byteStringOf(value)])),
  };
  const { variables, files } = makeEnvironment({
    derivation,
    options: parseDerivationOptions(derivation),
    cores: 4,
    fixed: more.fixed ?? false,
    impure: false,
    hostEnvironment: { http_proxy: "http://proxy" },
    outputs: new Map([["out", out]]),
    graphs: new Map(),
    rewrites: new Map(Object.entries(more.rewrites ?? {}).map(([from, to]) => [byteStringOf(from), byteStringOf(to)])),
  });
  return {
    variables: Object.fromEntries([...variables].map(([name, value]) => [textOf(name), textOf(value)])),
    files: Object.fromEntries([...files].map(([name, value]) => [name, textOf(value)])),
  };
}

describe("the builder's environment", () => {
  it("is Nix's, with the derivation's own over the first part and under the second", () => {
    const { variables } = environment({ HOME: "/mine", TMPDIR: "/mine", out });
    expect(variables).toEqual({
      PATH: "/path-not-set",
      HOME: "/mine",
      NIX_STORE: "/nix/store",
      NIX_BUILD_CORES: "4",
      out,
      NIX_BUILD_TOP: "/build",
      TMPDIR: "/build",
      TEMPDIR: "/build",
      TMP: "/build",
      TEMP: "/build",
      PWD: "/build",
      NIX_LOG_FD: "2",
      TERM: "xterm-256color",
    });
  });

  it("puts what passAsFile names into files", () => {
    const { variables, files } = environment({ passAsFile: "big", big: "contents" });
    const [name] = Object.keys(files);
    expect(name).toMatch(/^\.attr-[0-9a-df-np-sv-z]{52}$/);
    expect(files).toEqual({ [name!]: "contents" });
    expect(variables.bigPath).toBe(`/build/${name}`);
    expect(variables).not.toHaveProperty("big");
    expect(variables).toHaveProperty("passAsFile");
  });

  it("lets the world in only where the output's hash is known", () => {
    const env = { impureEnvVars: "http_proxy no_proxy" };
    expect(environment(env).variables).not.toHaveProperty("http_proxy");
    expect(environment(env, { fixed: true }).variables).toMatchObject({
      http_proxy: "http://proxy",
      no_proxy: "",
      NIX_OUTPUT_CHECKED: "1",
    });
  });

  it("replaces placeholders in names of files, values and arguments alike", () => {
    const { variables, files } = environment(
      { out: "/placeholder", passAsFile: "text", text: "to /placeholder" },
      { rewrites: { "/placeholder": out } },
    );
    expect(variables.out).toBe(out);
    expect(Object.values(files)).toEqual([`to ${out}`]);
  });

  it("hands structured attributes over in two files and nothing else", () => {
    const { variables, files } = environment({ __json: '{"name":"x","list":["a"]}', out: "unused" });
    expect(variables).not.toHaveProperty("out");
    expect(variables).toMatchObject({
      NIX_ATTRS_JSON_FILE: "/build/.attrs.json",
      NIX_ATTRS_SH_FILE: "/build/.attrs.sh",
    });
    expect(files[".attrs.json"]).toBe(`{"list":["a"],"name":"x","outputs":{"out":"${out}"}}`);
    expect(files[".attrs.sh"]).toBe(
      `declare -a list=('a' )\ndeclare name='x'\ndeclare -A outputs=(['out']='${out}' )\n`,
    );
  });

  it("keeps bytes that are no UTF-8", () => {
    const derivation: BasicDerivation = {
      name: "x",
      outputs: new Map([["out", { type: "inputAddressed", path: out }]]),
      inputSrcs: new Set(),
      platform: "x",
      builder: byteStringOf("b"),
      args: [],
      env: new Map([["raw" as ByteString, "\xff\xfe" as ByteString]]),
    };
    const { variables } = makeEnvironment({
      derivation,
      options: parseDerivationOptions(derivation),
      cores: 1,
      fixed: false,
      impure: false,
      hostEnvironment: {},
      outputs: new Map(),
      graphs: new Map(),
      rewrites: new Map(),
    });
    expect(variables.get("raw" as ByteString)).toBe("\xff\xfe");
  });
});
