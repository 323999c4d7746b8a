// Every real Nix that can be had here uses `serve`: as its builder and as a store to copy to and from, by both protocols.
import { chmodSync, copyFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hostSystem } from "../../support/builders.ts";
import { atLeast, nixGenerations } from "../../support/nix-generations.ts";
import { createInstance, type NixInstance } from "../../support/nix-instance.ts";
import { type Sshd, startSshd } from "../../support/sshd.ts";

const generations = await nixGenerations();
if (generations.length === 0) it.skip("SKIPPED: no Nix here to talk to", () => undefined);

/** The program as it is installed, by a name without blanks. */
const SCRIPT = `#!/bin/sh\nPATH=/homes/root/bin:$PATH\nexec /checkout/node_modules/node-linux-${process.arch}/bin/node /checkout/bin/tsbuild-top.js "$@"\n`;

describe.each(generations)("Nix $version", (generation) => {
  let instance: NixInstance;
  let builder: NixInstance;
  let sshd: Sshd;

  beforeAll(async () => {
    instance = await createInstance(generation, { name: `serve-client-${generation.version}` });
    builder = await createInstance(generation, { name: `serve-builder-${generation.version}` });
    for (const machine of [instance, builder]) {
      const program = join(machine.directory, "homes/root/tsbuild-top");
      writeFileSync(program, SCRIPT);
      chmodSync(program, 0o755);
      // The unpacked suites have no ldd to find the libraries of their shell with.
      mkdirSync(join(machine.directory, "homes/root/bin"));
      if (existsSync("/usr/bin/busybox"))
        copyFileSync("/usr/bin/busybox", join(machine.directory, "homes/root/bin/busybox"));
    }
    sshd = await startSshd({ instance: builder });
    const home = join(instance.directory, "homes/root/.ssh");
    mkdirSync(home, { recursive: true, mode: 0o700 });
    writeFileSync(
      join(home, "config"),
      `Host there\n  HostName ${sshd.host}\n  Port ${sshd.port}\n  User root\n  IdentityFile ${sshd.userKey}\n  HostKeyAlias there\n  UserKnownHostsFile ${join("/homes/root/.ssh", "known")}\n`,
    );
    writeFileSync(join(home, "known"), `${sshd.knownHostsLine("there")}\n`);
  });
  afterAll(async () => {
    await sshd?.stop();
    await builder?.remove();
    await instance?.remove();
  });

  const program = "remote-program=/homes/root/tsbuild-top%20serve";
  const environment = { NIX_SSHOPTS: "-F /homes/root/.ssh/config" };

  describe.each([
    ["ssh-ng", "localhost"],
    ["ssh", "localhost"],
    ["ssh-ng", "there"],
    ["ssh", "there"],
  ] as const)("%s://%s", (scheme, host) => {
    const uri = `${scheme}://${host}?${program}`;
    const mark = `${scheme}-${host}`;
    const expression = (name: string, script: string): string =>
      `let dep = derivation { name = "dep-${name}-${mark}"; system = "${hostSystem}"; builder = "/bin/sh"; args = [ "-c" "echo dependency > $out" ]; };
       in derivation { name = "${name}-${mark}"; system = "${hostSystem}"; builder = "/bin/sh"; src = builtins.toFile "src-${mark}" "source"; args = [ "-c" "echo ${name} on $NIX_BUILD_CORES; read line < \${dep}; ${script}" ]; }`;

    it("builds on it", async () => {
      const words = ["--no-out-link", "-j0", "--builders", `${uri} ${hostSystem} - 2 1`, "-E"];
      const good = expression("good", "echo $line > $out");
      const built = await instance.run("nix-build", [...words, good], { env: environment });
      expect(built.status, built.stderr).toBe(0);
      expect(await instance.output("cat", [built.stdout.trim()])).toBe("dependency");
      expect(built.stderr).toMatch(/good on \d+/);
      await instance.output("nix-store", ["--verify", "--check-contents"]);

      const bad = expression("bad", "echo broken; exit 3");
      const failed = await instance.run("nix-build", [...words, bad], { env: environment });
      expect(failed.status).not.toBe(0);
      expect(failed.stderr).toContain("failed with exit code 3");
    });

    it("copies closures to it and back", async () => {
      const path = await instance.output("nix-build", [
        "--no-out-link",
        "-E",
        expression("copied", "echo $src > $out; echo $line"),
      ]);
      await instance.output("nix", ["copy", "--no-check-sigs", "--to", uri, path], { env: environment });
      const closure = await instance.output("nix-store", ["--query", "--requisites", path]);
      const there = await instance.output("nix", ["path-info", "--store", uri, "-r", path], { env: environment });
      expect(there.split("\n").sort()).toEqual(closure.split("\n").sort());
      const hash = await instance.output("nix-store", ["--query", "--hash", path]);
      await instance.output("nix-store", ["--delete", path]);
      await instance.output("nix", ["copy", "--no-check-sigs", "--from", uri, path], { env: environment });
      expect(await instance.output("nix-store", ["--query", "--hash", path])).toBe(hash);
      await instance.output("nix-store", ["--verify", "--check-contents"]);
    });
  });

  it("opens the store that was served, and finds it sound", async () => {
    const root = "/homes/root/.local/share/tsbuild-top/root";
    await instance.output("nix-store", ["--store", root, "--verify", "--check-contents"]);
    expect(
      await instance.output("nix-store", [
        "--store",
        root,
        "--query",
        "--requisites",
        ...(await outputsIn(instance, root)),
      ]),
    ).toContain("-good-ssh");
  });

  it("evaluates into it and builds in it", async () => {
    const words = ["--impure", "--no-link", "--store", `ssh-ng://localhost?${program}`, "--expr"];
    const floating = `derivation { name = "inside"; system = "${hostSystem}"; builder = "/bin/sh"; args = [ "-c" "echo inside > $out" ]; dep = derivation { name = "inner"; system = "${hostSystem}"; builder = "/bin/sh"; args = [ "-c" "echo inner > $out" ]; }; }`;
    const built = await instance.run("nix", ["build", ...words, floating]);
    expect(built.status, built.stderr).toBe(0);
  });

  it("builds on it, and in it, what is addressed by its contents", async () => {
    const floating = (name: string): string =>
      `let ca = { system = "${hostSystem}"; builder = "/bin/sh"; __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; };
       in derivation (ca // { name = "${name}"; args = [ "-c" "read line < \${derivation (ca // { name = "${name}-dep"; args = [ "-c" "echo floating > $out" ]; })}; echo $line > $out" ]; })`;
    const worker = `ssh-ng://localhost?${program}`;
    const line = `${worker} ${hostSystem} - 1 1 ca-derivations`;
    const built = await instance.run("nix-build", [
      "--no-out-link",
      "-j0",
      "--builders",
      line,
      "-E",
      floating("on-it"),
    ]);
    expect(built.status, built.stderr).toBe(0);
    expect(await instance.output("cat", [built.stdout.trim()])).toBe("floating");
    const inside = ["build", "--impure", "--no-link", "--store", worker, "--expr", floating("in-it")];
    const first = await instance.run("nix", inside);
    expect(first.status, first.stderr).toBe(0);
    const second = await instance.run("nix", inside);
    expect(second.status, second.stderr).toBe(0);
  });

  it("is told that an account without trust may not bring unsigned paths", async () => {
    const untrusted = `ssh-ng://localhost?${program}%20--trusted-users%20nobody`;
    const path = await instance.output("nix-build", [
      "--no-out-link",
      "-E",
      `derivation { name = "unsigned"; system = "${hostSystem}"; builder = "/bin/sh"; args = [ "-c" "echo unsigned > $out" ]; }`,
    ]);
    const refused = await instance.run("nix", ["copy", "--no-check-sigs", "--to", untrusted, path]);
    expect(refused.status).not.toBe(0);
    expect(refused.stderr).toMatch(/lacks a (valid )?signature/);
    const text = await instance.output("nix-instantiate", [
      "--eval",
      "--read-write-mode",
      "-E",
      'builtins.toFile "free" "content-addressed"',
    ]);
    await instance.output("nix", ["copy", "--to", untrusted, JSON.parse(text) as string]);
    // Since 2.12 its builders are given the derivations then, which need no trust.
    if (!atLeast(generation, "2.12")) return;
    const built = await instance.run("nix-build", [
      ...["--no-out-link", "-j0", "--builders", `${untrusted} ${hostSystem} - 1 1`, "-E"],
      `derivation { name = "by-closure"; system = "${hostSystem}"; builder = "/bin/sh"; args = [ "-c" "echo closure > $out" ]; }`,
    ]);
    expect(built.stderr).not.toContain("not privileged");
    expect(built.status, built.stderr).toBe(0);
  });
});

async function outputsIn(instance: NixInstance, root: string): Promise<string[]> {
  const all = await instance.output("nix", ["path-info", "--store", root, "--all"]);
  return all.split("\n").filter((path) => /-good-ssh[a-z-]*$/.test(path));
}
