// The harness itself: every generation of Nix builds on a private machine, sandboxed or not, as root and through a daemon.
import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { nixGenerations } from "./nix-generations.ts";
import { createInstance, type NixInstance } from "./nix-instance.ts";
import { busyboxPath, standInNixpkgs } from "./nixpkgs.ts";
import { outputOf } from "./processes.ts";

const generations = await nixGenerations();
const usable = generations.length > 0 && busyboxPath() !== null;

describe.skipIf(!usable)("generations of Nix (skipped without root, nix-bin and busybox-static)", () => {
  it("has one generation per suite, all different", () => {
    expect(generations.map((generation) => generation.suite)).toEqual(["host", "trixie", "forky"]);
    expect(new Set(generations.map((generation) => generation.version)).size).toBe(3);
  });
});

const expression = `with import <nixpkgs> {}; runCommand "foo" { } "uname > $out; ls /homes >&2 || true"`;

for (const generation of usable ? generations : []) {
  describe(`Nix ${generation.version}`, () => {
    let plain: NixInstance;
    let sandboxed: NixInstance;
    let nixpkgs: string;

    beforeAll(async () => {
      nixpkgs = await standInNixpkgs();
      plain = await createInstance(generation, { name: "plain" });
      sandboxed = await createInstance(generation, { name: "sandboxed", sandbox: true });
    });
    afterAll(async () => {
      const directories = [plain.directory, sandboxed.directory];
      await Promise.all([plain.remove(), sandboxed.remove()]);
      expect(directories.filter((directory) => existsSync(directory))).toEqual([]);
    });

    const build = (instance: NixInstance, user: "root" | "tsbt-plain" = "root") =>
      instance.run("nix-build", ["--no-out-link", "-E", expression], { user, env: { NIX_PATH: `nixpkgs=${nixpkgs}` } });

    it("answers with its own version", async () => {
      expect(await plain.output("nix-store", ["--version"])).toContain(generation.version);
    });

    it("builds without a sandbox, in its own store", async () => {
      const result = await build(plain);
      expect(result.stderr).toContain("tsbt-plain");
      const path = result.stdout.trim();
      expect(path).toMatch(/^\/nix\/store\/[0-9a-z]{32}-foo$/);
      expect(await plain.output("cat", [path])).toBe("Linux");
      expect(existsSync(plain.hostPath(path))).toBe(true);
      expect(existsSync(sandboxed.hostPath(path))).toBe(false);
    });

    it("builds in a sandbox that hides the machine", async () => {
      const result = await build(sandboxed);
      expect(result.status, result.stderr).toBe(0);
      expect(result.stderr).not.toContain("tsbt-plain");
      expect(await sandboxed.output("cat", [result.stdout.trim()])).toBe("Linux");
    });

    it("serves an ordinary user through a daemon", async () => {
      const daemon = await plain.startDaemon();
      expect(existsSync(daemon.socketPath)).toBe(true);
      const result = await build(plain, "tsbt-plain");
      expect(result.status, result.stderr).toBe(0);
      await daemon.stop();
      expect((await plain.run("nix-store", ["--gc", "--print-dead"], { user: "tsbt-plain" })).status).not.toBe(0);
    });

    it("is reached by wrappers in the caller's folder", async () => {
      const checkout = new URL("nixpkgs/", import.meta.url).pathname;
      const wrapped = await outputOf(
        plain.command("nix-instantiate"),
        ["--eval", "-E", 'builtins.readFile ./setup.sh != ""'],
        {
          cwd: checkout,
        },
      );
      expect(wrapped).toBe("true");
      expect(await plain.output("ls", ["/checkout/package.json"], { user: "tsbt-plain" })).toBe(
        "/checkout/package.json",
      );
    });
  });
}

describe.skipIf(!usable)("the stand-in for nixpkgs (skipped without root, nix-bin and busybox-static)", () => {
  it("has phases, writeText, several outputs and a flake", async () => {
    const generation = generations.at(-1)!;
    const nixpkgs = await standInNixpkgs();
    await using instance = await createInstance(generation, { name: "standin" });
    const env = { NIX_PATH: `nixpkgs=${nixpkgs}` };
    const made = await instance.run(
      "nix-build",
      [
        "--no-out-link",
        "--log-format",
        "internal-json",
        "-v",
        "-E",
        `with import <nixpkgs> {}; let greeting = writeText "greeting" "hello"; in stdenv.mkDerivation {
          pname = "pack"; version = "1.0"; outputs = [ "out" "doc" ];
          buildPhase = "cp \${greeting} page"; installPhase = "mkdir $out $doc; cp page $doc/page; echo $RANDOM > $out/number";
        }`,
      ],
      { env },
    );
    expect(made.status, made.stderr).toBe(0);
    expect(made.stderr).toContain("buildPhase");
    const out = made.stdout.trim();
    const deriver = await instance.output("nix-store", ["-q", "--deriver", out]);
    const outputs = (await instance.output("nix-store", ["-q", "--outputs", deriver])).split("\n");
    expect(await instance.output("cat", [`${outputs.find((path) => path.endsWith("-doc"))}/page`])).toBe("hello");
    expect(await instance.output("cat", [`${out}/number`])).toMatch(/^[0-9]+$/);
    const flake = await instance.run("nix", [
      "build",
      "--no-link",
      "--print-out-paths",
      "--impure",
      "--expr",
      `(builtins.getFlake "path:${nixpkgs}").legacyPackages.\${builtins.currentSystem}.writeText "f" "flake"`,
    ]);
    expect(flake.status, flake.stderr).toBe(0);
    expect(await instance.output("cat", [flake.stdout.trim()])).toBe("flake");
  });
});
