// Evaluation through the installed Nix: what `nix-instantiate` and `nix` answer is what comes out here.
import { execFileSync } from "node:child_process";
import { existsSync, lstatSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readDrvClosure, readDrvFrom } from "../../../src/engine/evaluate/drv-closure.ts";
import { evaluateInstallables } from "../../../src/engine/evaluate/evaluate.ts";
import { parseInstallables } from "../../../src/engine/evaluate/installable.ts";
import type { EvaluationOptions } from "../../../src/engine/evaluate/nix-options.ts";
import type { NixRunContext } from "../../../src/engine/evaluate/run-nix.ts";
import { parseStorePath } from "../../../src/engine/formats/store-path.ts";
import { hasPrograms } from "../../support/tools.ts";

const usable = hasPrograms("nix", "nix-instantiate", "busybox");

const FILE = `
let mk = name: deps: derivation { inherit name deps; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo hi > $out" ]; };
in rec {
  a = mk "a" [ ];
  b = mk "b" [ a multi.dev ];
  multi = derivation { name = "multi"; outputs = [ "bin" "dev" ]; system = "x86_64-linux"; builder = "/bin/sh"; };
  traced = builtins.trace "look here" a;
  bad = throw "boom";
  text = "not a derivation";
  named = { name ? "unnamed", n ? 1 }: mk "\${name}-\${toString n}" [ ];
  lookup = mk (import <names>) [ ];
}`;
const FLAKE = `{ outputs = { self }:
  let mk = name: derivation { inherit name; system = "x86_64-linux"; builder = "/bin/sh"; outputs = [ "out" "man" ]; };
  in {
    packages.x86_64-linux = rec { default = mk "flake-default"; hello = mk "hello" // { meta.outputsToInstall = [ "out" "man" ]; }; };
    legacyPackages.x86_64-linux.deep.er = mk "deeper";
    text = "x";
  }; }`;

let cwd = "";
let messages: string[] = [];
beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), "tsbuild-evaluate-"));
  writeFileSync(join(cwd, "default.nix"), FILE);
  writeFileSync(join(cwd, "names.nix"), `"from-lookup-path"`);
  mkdirSync(join(cwd, "flake"));
  writeFileSync(join(cwd, "flake/flake.nix"), FLAKE);
});
afterAll(() => rmSync(cwd, { recursive: true, force: true }));

interface Case {
  readonly words?: readonly string[];
  readonly attributes?: readonly string[];
  readonly expression?: string;
  readonly options?: Partial<EvaluationOptions>;
  readonly context?: Partial<NixRunContext>;
  readonly root?: string;
}

function evaluate({ words = [], attributes = [], expression, options, context, root }: Case) {
  messages = [];
  return evaluateInstallables({
    installables: parseInstallables({ words, file: null, expression: expression ?? null, attributes }),
    options: {
      arguments: [],
      lookupPath: [],
      settingsOverrides: new Map(),
      store: null,
      showTrace: false,
      flakeFlags: [],
      ...options,
    },
    context: { cwd, environment: process.env, onMessage: (line) => messages.push(line), signal: null, ...context },
    evaluateBuildFile: () => Promise.reject(new Error("no build file here")),
    root: root ?? null,
  });
}

/** What nix-instantiate prints for the same. */
function instantiated(...args: string[]): string[] {
  return execFileSync("nix-instantiate", args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })
    .trim()
    .split("\n");
}

describe.skipIf(!usable)("nix-instantiate (skipped without nix-bin and busybox-static)", () => {
  it("chooses outputs of attributes", async () => {
    const [a, multi] = instantiated("-A", "a", "-A", "multi").map((line) => parseStorePath(line.split("!")[0]!));
    expect(await evaluate({ words: ["a", "multi^dev", "multi^*", "multi"], expression: FILE })).toEqual([
      { type: "built", drvPath: a, outputs: ["out"] },
      { type: "built", drvPath: multi, outputs: ["dev"] },
      { type: "built", drvPath: multi, outputs: "all" },
      { type: "built", drvPath: multi, outputs: ["bin"] },
    ]);
    expect(await evaluate({ words: ["./flake"], attributes: ["hello^man"] })).toMatchObject([{ outputs: ["man"] }]);
  });

  it("gives the same derivations and outputs", async () => {
    const [a] = instantiated("-A", "a");
    const [multi = ""] = instantiated("-A", "multi.dev");
    expect(multi).toMatch(/!dev$/);
    const [drv = ""] = multi.split("!");
    expect(await evaluate({ attributes: ["a", "multi.dev", "multi"] })).toEqual([
      { type: "built", drvPath: a, outputs: ["out"] },
      { type: "built", drvPath: drv, outputs: ["dev"] },
      { type: "built", drvPath: drv, outputs: ["bin"] },
    ]);
    expect(messages.filter((line) => line.includes("add-root"))).toEqual([]);
  });

  it("takes expressions, arguments, lookup paths and settings", async () => {
    const [named] = instantiated("-A", "named", "--argstr", "name", "x", "--arg", "n", "1 + 1");
    const argumentList = [
      { type: "text", name: "name", value: "x" },
      { type: "expression", name: "n", value: "1 + 1" },
    ] as const;
    expect(await evaluate({ attributes: ["named"], options: { arguments: argumentList } })).toMatchObject([
      { drvPath: named },
    ]);
    expect(await evaluate({ words: ["((import ./default.nix).a)"] })).toMatchObject([
      { drvPath: instantiated("-A", "a")[0] },
    ]);
    expect(await evaluate({ expression: "import ./default.nix", words: ["a"] })).toMatchObject([
      { drvPath: instantiated("-A", "a")[0] },
    ]);
    const [lookup] = await evaluate({
      attributes: ["lookup"],
      options: { lookupPath: [`names=${join(cwd, "names.nix")}`] },
    });
    expect(lookup).toMatchObject({ drvPath: expect.stringMatching(/-from-lookup-path\.drv$/) });
    const settingsOverrides = new Map([["restrict-eval", "true"]]);
    await expect(evaluate({ attributes: ["lookup"], options: { settingsOverrides } })).rejects.toMatchObject({
      code: "EVALUATE_FAILED",
    });
  });

  it("keeps derivations alive by links when asked, and reads the links", async () => {
    const root = join(cwd, "roots");
    const targets = await evaluate({ attributes: ["a", "multi.dev"], root });
    expect(targets).toMatchObject([{ drvPath: instantiated("-A", "a")[0], outputs: ["out"] }, { outputs: ["dev"] }]);
    expect(lstatSync(root).isSymbolicLink()).toBe(true);
    expect(lstatSync(`${root}-2`).isSymbolicLink()).toBe(true);
  });

  it("instantiates into a private store", async () => {
    const store = join(cwd, "private");
    const [target] = await evaluate({ attributes: ["b"], options: { store } });
    if (target?.type !== "built") throw new Error("expected a derivation");
    expect(existsSync(join(store, target.drvPath))).toBe(true);
    const closure = await readDrvClosure([target.drvPath], readDrvFrom(join(store, "nix/store")));
    expect([...closure.values()].map(({ name }) => name).sort()).toEqual(["a", "b", "multi"]);
  });

  it("carries Nix's own message, and passes on what Nix says meanwhile", async () => {
    await expect(evaluate({ attributes: ["bad"] })).rejects.toMatchObject({
      code: "EVALUATE_FAILED",
      message: expect.stringMatching(/^boom/),
    });
    await expect(evaluate({ attributes: ["nope"] })).rejects.toThrow(
      "attribute 'nope' in selection path 'nope' not found",
    );
    await expect(evaluate({ attributes: ["text"] })).rejects.toThrow("does not evaluate to a derivation");
    expect(messages.filter((line) => line.startsWith("error"))).toEqual([]);
    await evaluate({ attributes: ["traced"] });
    expect(messages).toContain("trace: look here");
  });

  it("says what is missing when there is no Nix", async () => {
    const environment = { PATH: join(cwd, "nothing-here") };
    await expect(evaluate({ attributes: ["a"], context: { environment } })).rejects.toMatchObject({
      code: "EVALUATE_NO_NIX",
      hint: expect.stringContaining(".drv"),
    });
  });

  it("can be called off", async () => {
    const abort = new AbortController();
    const endless = evaluate({
      words: [
        "(builtins.genericClosure { startSet = [ { key = 0; } ]; operator = item: [ { key = item.key + 1; } ]; })",
      ],
      context: { signal: abort.signal },
    });
    setTimeout(() => abort.abort(new Error("called off")), 200);
    await expect(endless).rejects.toThrow("called off");
  });
});

describe.skipIf(!usable)("other installables (skipped without nix-bin and busybox-static)", () => {
  it("are store paths, links into the store and derivations", async () => {
    const [drv = ""] = instantiated("-A", "a");
    symlinkSync(drv, join(cwd, "link"));
    expect(await evaluate({ words: [drv, `${drv}^out`, "link"] })).toEqual([
      { type: "built", drvPath: drv, outputs: "all" },
      { type: "built", drvPath: drv, outputs: ["out"] },
      { type: "built", drvPath: drv, outputs: "all" },
    ]);
    const out = parseStorePath(drv.replace(/\.drv$/, ""));
    expect(await evaluate({ words: [out] })).toEqual([{ type: "opaque", path: out }]);
  });

  it("are flakes, searched by nix itself", async () => {
    const flake = `path:${join(cwd, "flake")}`;
    const targets = await evaluate({
      words: [flake, `${flake}#hello`, `${flake}#hello^man`, `${flake}#deep.er^*`, "./flake"],
    });
    expect(
      targets.map((target) => (target.type === "built" ? [target.drvPath.replace(/^.*?-/, ""), target.outputs] : [])),
    ).toEqual([
      ["flake-default.drv", ["out"]],
      ["hello.drv", ["out", "man"]],
      ["hello.drv", ["man"]],
      ["deeper.drv", "all"],
      ["flake-default.drv", ["out"]],
    ]);
    for (const target of targets) expect(target.type === "built" && existsSync(target.drvPath)).toBe(true);
    await expect(evaluate({ words: [`${flake}#text`] })).rejects.toThrow("expected a derivation, found a string");
    await expect(evaluate({ words: [`${flake}#nope`] })).rejects.toThrow(
      /does not provide attribute 'packages.x86_64-linux.nope'/,
    );
  });
});
