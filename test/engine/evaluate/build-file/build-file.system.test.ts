// Build files in TypeScript make, byte for byte, the derivations real Nix makes from the same attributes.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../../../src/engine/base/clock.ts";
import { runBuildFile } from "../../../../src/engine/evaluate/build-file/run-build-file.ts";
import { type EmbeddedStore, openEmbeddedStore } from "../../../../src/engine/stores/embedded/embedded-store.ts";
import { DEFAULT_EMBEDDED_SETTINGS } from "../../../../src/engine/stores/embedded/settings.ts";
import { hasPrograms } from "../../../support/tools.ts";

const usable = hasPrograms("nix", "nix-instantiate");

const FIXTURES = new URL("./fixtures/", import.meta.url).pathname;

let directory: string;
let store: EmbeddedStore;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "tsbt-build-file-"));
  store = await openEmbeddedStore({
    root: join(directory, "ours"),
    clock: systemClock,
    random: Math.random,
    substituters: [],
    settings: { ...DEFAULT_EMBEDDED_SETTINGS, system: "x86_64-linux" },
  });
});

afterAll(async () => {
  await store.close();
  rmSync(directory, { recursive: true, force: true });
});

function evaluate(
  file: string,
  attributes: readonly string[] = [],
  given: Parameters<typeof runBuildFile>[0]["arguments"] = [],
) {
  const messages: string[] = [];
  const made = runBuildFile({
    file,
    attributes,
    arguments: given,
    store,
    cwd: directory,
    environment: process.env,
    onMessage: (line) => messages.push(line),
    signal: null,
  });
  return { made, messages };
}

/** Writes a build file outside of any package and evaluates it. */
function evaluateText(
  text: string,
  attributes: readonly string[] = [],
  given: Parameters<typeof runBuildFile>[0]["arguments"] = [],
) {
  const file = join(directory, "test.ts");
  writeFileSync(file, text);
  return evaluate(file, attributes, given);
}

describe.skipIf(!usable)("a build file (skipped without nix-bin)", () => {
  it("makes the derivations Nix makes of the same attributes", async () => {
    const theirs = join(directory, "theirs");
    const { stdout } = await execa("nix-instantiate", ["--store", theirs, join(FIXTURES, "everything.nix")]);
    const expected = stdout.split("\n").map((line) => line.replace(/!.*$/, ""));
    const ours = await evaluate(join(FIXTURES, "everything.ts")).made;
    const found = ours.map((target) => (target.type === "built" ? target.drvPath : ""));
    expect([...found].sort()).toEqual([...expected].sort());
    for (const drvPath of found) {
      expect(readFileSync(join(directory, "ours", drvPath)).equals(readFileSync(join(theirs, drvPath)))).toBe(true);
    }
  });

  it("picks attributes by path and calls exported functions with arguments", async () => {
    const text = `
      import { derivation } from "tsbuild-top";
      const make = (name: string) => derivation({ name, builder: "/bin/sh" });
      export default ({ suffix, n }: { suffix: string; n: number }) => ({ a: { b: make("b" + suffix + n), c: make("c") } });`;
    const given = [
      { type: "text", name: "suffix", value: "-x" },
      { type: "expression", name: "n", value: "3" },
    ] as const;
    const [target] = await evaluateText(text, ["a.b"], given).made;
    expect(target?.type === "built" && target.drvPath).toMatch(/-b-x3\.drv$/);
  });

  it("points into the user's file when something is wrong", async () => {
    const text = `import { derivation } from "tsbuild-top";\n\nexport default derivation({ name: "bad name!", builder: "/bin/sh" });\n`;
    await expect(evaluateText(text).made).rejects.toThrow(
      /test\.ts:3:\d+: derivation: name: expected a name of letters/,
    );
  });

  it("says what is there when an attribute is not", async () => {
    const text = `import { derivation } from "tsbuild-top";\nexport default { hello: derivation({ name: "hello", builder: "/bin/sh" }) };`;
    await expect(evaluateText(text, ["hallo"]).made).rejects.toThrow(/attribute 'hallo'.*found hello/);
  });

  it("may print, and its output is passed on", async () => {
    const { made, messages } = evaluateText(
      `import { derivation } from "tsbuild-top";\nconsole.log("thinking");\nexport default derivation({ name: "x", builder: "/bin/sh" });`,
    );
    await made;
    expect(messages).toContain("thinking");
  });

  it("that ends the process gets a clear error", async () => {
    await expect(evaluateText("process.exit(3);").made).rejects.toMatchObject({ code: "BUILD_FILE_CRASHED" });
  });
});
