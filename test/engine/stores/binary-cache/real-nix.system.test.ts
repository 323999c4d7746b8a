// Binary caches we fill, read by real Nix with signatures required; and caches real Nix fills, read here.
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startFakeS3 } from "../../../support/fake-s3.ts";
import { atLeast, type NixGeneration, nixGenerations } from "../../../support/nix-generations.ts";
import { createInstance, type NixInstance } from "../../../support/nix-instance.ts";
import { startObjectServer } from "../../../support/object-server.ts";
import { type ProgramUser, programUser } from "../../../support/program.ts";
import { removeDirectory, temporaryDirectory } from "../../../support/temporary-directory.ts";

const generations = await nixGenerations();

/** Two paths, one of which refers to the other. */
const CLOSURE = `{ salt }:
let
  system = builtins.currentSystem;
  make = name: script: derivation { inherit name system salt; builder = "/bin/sh"; args = [ "-c" script ]; };
  base = make "base" "echo base $salt > $out";
in make "top" "echo \${base} $salt > $out"`;

const COMPRESSIONS = ["xz", "zstd", "none", "br", "gzip", "bzip2"] as const;

describe.skipIf(generations.length === 0)("binary caches beside real Nix (skipped without root and nix-bin)", () => {
  let directory: string;
  let user: ProgramUser;
  let publicKey: string;
  const instances = new Map<NixGeneration, NixInstance>();
  const store = (): string => join(directory, "store");
  const secretKeyFile = (): string => join(directory, "key.secret");
  const keys = (): string[] => ["--option", "trusted-public-keys", publicKey];

  beforeAll(async () => {
    directory = temporaryDirectory("caches");
    user = programUser(join(directory, "home"));
    await user.output(["generate-binary-cache-key", "cache-1", secretKeyFile(), join(directory, "key.public")]);
    publicKey = readFileSync(join(directory, "key.public"), "utf8");
    for (const generation of generations) instances.set(generation, await createInstance(generation));
  });
  afterAll(async () => {
    for (const instance of instances.values()) await instance.remove();
    if (directory !== undefined) removeDirectory(directory);
  });

  /** Builds the closure in our own store. */
  const built = (salt: string): Promise<string> =>
    user.output([
      "build",
      "-E",
      CLOSURE,
      "--argstr",
      "salt",
      salt,
      "--store",
      store(),
      "--no-out-link",
      "--ui",
      "quiet",
    ]);

  /** Has a real Nix copy a path from a cache, first without our key, then with it. */
  const readByNix = async (
    instance: NixInstance,
    uri: string,
    path: string,
    env: Readonly<Record<string, string>> = {},
  ): Promise<void> => {
    const refused = await instance.run("nix", ["copy", "--from", uri, path], { env });
    expect(refused.status, refused.stderr).not.toBe(0);
    expect(refused.stderr).toMatch(/signature/);
    await instance.output("nix", ["copy", "--from", uri, ...keys(), path], { env });
    await instance.output("nix-store", ["--verify-path", path]);
    expect(readFileSync(instance.hostPath(path), "utf8")).toContain("/nix/store/");
    await instance.output("nix", ["store", "verify", "-r", "-n", "1", ...keys(), path]);
  };

  for (const generation of generations) {
    const { version } = generation;

    it(`Nix ${version} reads a file:// cache of ours, however it is packed`, async () => {
      const instance = instances.get(generation)!;
      for (const compression of COMPRESSIONS) {
        const path = await built(`file ${version} ${compression}`);
        const cache = `file://${directory}/cache-${version}-${compression}`;
        await user.output([
          "copy",
          "--to",
          `${cache}?compression=${compression}&secret-key=${secretKeyFile()}`,
          "--store",
          store(),
          path,
        ]);
        await readByNix(instance, cache, path);
      }
    });

    it(`Nix ${version} reads an http:// cache of ours, and substitutes from it`, async () => {
      await using server = await startObjectServer({ directory: join(directory, `http-${version}`) });
      const instance = instances.get(generation)!;
      const path = await built(`http ${version}`);
      await user.output(["copy", "--to", `${server.url}?secret-key=${secretKeyFile()}`, "--store", store(), path]);
      await readByNix(instance, server.url, path);
      const other = await built(`substituted ${version}`);
      await user.output(["copy", "--to", `${server.url}?secret-key=${secretKeyFile()}`, "--store", store(), other]);
      const realised = await instance.run("nix-store", [
        "--realise",
        other,
        "--option",
        "substituters",
        server.url,
        ...keys(),
      ]);
      expect(realised.status, realised.stderr).toBe(0);
      expect(realised.stderr).toContain(`copying path '${other}' from '${server.url}'`);
    });

    it(`writes the same listing of a NAR as Nix ${version} where write-nar-listing asks for one`, async () => {
      const instance = instances.get(generation)!;
      const tree = join(instance.directory, "homes/root/tree");
      mkdirSync(join(tree, "bin"), { recursive: true });
      writeFileSync(join(tree, "bin/run"), "#!/bin/sh\n", { mode: 0o755 });
      writeFileSync(join(tree, "empty"), "");
      writeFileSync(join(tree, "b\u00e4r"), "text");
      writeFileSync(join(tree, "__proto__"), version);
      symlinkSync("bin/run", join(tree, "link"));
      const path = await instance.output("nix-store", ["--add", "/homes/root/tree"]);
      const [theirs, ours] = [`${directory}/listed-${version}`, `${directory}/listed-here-${version}`];
      await instance.output("nix", ["copy", "--to", `file://${theirs}?write-nar-listing=1`, path]);
      const to = `file://${ours}?write-nar-listing=1`;
      await user.output(["copy", "--from", `file://${theirs}`, "--to", to, "--no-check-sigs", path]);
      const name = `${path.slice("/nix/store/".length, "/nix/store/".length + 32)}.ls`;
      const [wanted, written] = [theirs, ours].map((cache) => readFileSync(join(cache, name), "utf8")) as [
        string,
        string,
      ];
      expect(JSON.parse(written)).toEqual(JSON.parse(wanted));
      // Older Nix keeps no order of keys.
      if (atLeast(generation, "2.26")) expect(written).toBe(wanted);
    });

    it(`what Nix ${version} puts into file:// and http:// caches is read here`, async () => {
      await using server = await startObjectServer({ directory: join(directory, `nix-http-${version}`) });
      const instance = instances.get(generation)!;
      const uris = [
        ...COMPRESSIONS.map(
          (compression) =>
            [`file://${directory}/nix-${version}-${compression}`, `?compression=${compression}`] as const,
        ),
        [server.url, ""] as const,
      ];
      for (const [index, [uri, query]] of uris.entries()) {
        const path = await instance.output("nix-build", [
          "--no-out-link",
          "-E",
          CLOSURE,
          "--argstr",
          "salt",
          `nix ${index}`,
        ]);
        const more = `${query === "" ? "?" : `${query}&`}secret-key=${secretKeyFile()}`;
        await instance.output("nix", ["copy", "--to", `${uri}${more}`, path]);
        const target = join(directory, `read-${version}-${index}`);
        const refused = await user.run(["copy", "--from", uri, "--to", target, path]);
        expect(refused.status).toBe(1);
        expect(refused.stderr).toContain("because it lacks a valid signature");
        await user.output(["copy", "--from", uri, "--to", target, path, ...keys()]);
        const verified = await user.run(["verify", "--store", target, "-n", "1", ...keys()]);
        expect(verified).toMatchObject({ status: 0, stderr: "" });
        expect(readFileSync(join(target, path))).toEqual(readFileSync(instance.hostPath(path)));
        await user.output([
          "realise",
          path,
          "--store",
          `${target}-again`,
          "--option",
          "substituters",
          uri,
          ...keys(),
          "--ui",
          "plain",
        ]);
      }
    });

    it(`s3:// with Nix ${version}, both ways, where it knows S3`, async () => {
      // Debian builds Nix without the AWS library: 2.34 then asks without a signature, as of a public bucket, and older ones not at all.
      await using server = await startFakeS3({ isPublic: true });
      const instance = instances.get(generation)!;
      const uri = `s3://cache?endpoint=127.0.0.1:${server.port}&scheme=http&region=us-east-1`;
      const path = await built(`s3 ${version}`);
      await user.output(
        ["copy", "--to", `${uri}&secret-key=${secretKeyFile()}&compression=zstd`, "--store", store(), path],
        { env: server.env },
      );
      const probe = await instance.run("nix", ["path-info", "--store", uri, path]);
      if (/don't know how to open Nix store/.test(probe.stderr)) {
        expect(atLeast(generation, "2.34")).toBe(false);
        return;
      }
      await readByNix(instance, uri, path);
      const theirs = await instance.output("nix-build", [
        "--no-out-link",
        "-E",
        CLOSURE,
        "--argstr",
        "salt",
        "s3 of nix",
      ]);
      await instance.output("nix", ["copy", "--to", `${uri}&secret-key=${secretKeyFile()}`, theirs]);
      const target = join(directory, `read-s3-${version}`);
      await user.output(["copy", "--from", uri, "--to", target, theirs, ...keys()], { env: server.env });
      expect((await user.run(["verify", "--store", target, "-n", "1", ...keys()])).status).toBe(0);
      const wrong = await user.run(["copy", "--from", uri, "--to", `${target}-wrong`, theirs, ...keys()], {
        env: { ...server.env, AWS_SECRET_ACCESS_KEY: "wr0ng" },
      });
      expect(wrong.status).toBe(1);
      expect(wrong.stderr).toContain("the server refuses the credentials: SignatureDoesNotMatch");
      expect(wrong.stderr).not.toContain("wr0ng");
    });
  }

  it("copies between a cache and the Nix of a machine, and leaves what is there", async () => {
    const instance = instances.get(generations[0]!)!;
    const path = await built("daemon");
    const node = `/checkout/node_modules/node-linux-${process.arch}/bin/node`;
    const cache = `file://${directory}/cache-daemon`;
    await user.output(["copy", "--to", `${cache}?secret-key=${secretKeyFile()}`, "--store", store(), path]);
    const inside = (args: readonly string[]) => instance.run(node, ["/checkout/bin/main.ts", ...args]);
    const refused = await inside(["copy", "--from", cache, path]);
    expect(refused.status).toBe(1);
    expect(refused.stderr).toContain("lacks a");
    const copied = await inside(["copy", "--from", cache, path, "--no-check-sigs", "--json"]);
    expect(copied.status, copied.stderr).toBe(0);
    expect(JSON.parse(copied.stdout)).toMatchObject({
      alreadyThere: 0,
      copied: [expect.stringMatching(/-base$/), path],
    });
    const again = await inside(["copy", "--from", cache, path, "--json"]);
    expect(JSON.parse(again.stdout)).toMatchObject({ alreadyThere: 2, copied: [] });
    const verified = await inside(["verify", path, "-r", ...keys()]);
    expect(verified).toMatchObject({ status: 0 });
    expect((await inside(["verify", path, "-n", "1"])).status).toBe(2);
    const deleted = await inside(["delete", path]);
    expect(deleted.stdout).toMatch(/^1 store paths deleted, 0\.00 MiB freed$/m);
  });
});
