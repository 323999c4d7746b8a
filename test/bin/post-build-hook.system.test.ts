// The manual's chapter on the post-build hook, step by step: key, hook, build, delete, and the path copied back from the cache.
import { chmodSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startFakeS3 } from "../support/fake-s3.ts";
import { nixGenerations } from "../support/nix-generations.ts";
import { createInstance, type NixInstance } from "../support/nix-instance.ts";
import { startObjectServer } from "../support/object-server.ts";
import type { RunResult } from "../support/processes.ts";
import { programUser } from "../support/program.ts";
import { removeDirectory, temporaryDirectory } from "../support/temporary-directory.ts";

const generations = await nixGenerations();

/** What stands for `writeText "example" (toString currentTime)`: no nixpkgs is needed for it. */
const EXAMPLE = `derivation {
  name = "example"; system = builtins.currentSystem; builder = "/bin/sh";
  args = [ "-c" "echo example ${"$"}{toString builtins.currentTime} > $out" ];
}`;

/** A place the tutorial is followed in: who runs the program, and on which store. */
interface Place {
  readonly run: (args: readonly string[]) => Promise<RunResult>;
  /** Words that run the program in a shell. */
  readonly command: string;
  /** `--store …`, or nothing for the system's own. */
  readonly store: readonly string[];
}

describe.skipIf(generations.length === 0)(
  "the post-build hook of the manual (skipped without root and nix-bin)",
  () => {
    let directory: string;
    const inDirectory = (name: string): string => join(directory, name);

    beforeEach(() => {
      directory = temporaryDirectory("hook");
    });
    afterEach(() => removeDirectory(directory));

    /** The program on this machine with a store of its own. */
    const embedded = (env: Readonly<Record<string, string>> = {}): Place => {
      const user = programUser(inDirectory("home"));
      const store = ["--store", inDirectory("store")];
      return { run: (args) => user.run(args, { cwd: directory, env }), command: user.command, store };
    };

    /** The program on a machine with Nix, for its store. */
    const onNix = (instance: NixInstance, env: Readonly<Record<string, string>> = {}): Place => {
      const node = `/checkout/node_modules/node-linux-${process.arch}/bin/node`;
      const run: Place["run"] = (args) =>
        instance.run(node, ["/checkout/bin/main.ts", ...args], { cwd: directory, env });
      return { run, command: `${node} /checkout/bin/main.ts`, store: [] };
    };

    const ok = async (result: Promise<RunResult>): Promise<RunResult> => {
      const { status, stderr } = await result;
      expect(status, stderr).toBe(0);
      return result;
    };

    async function follow({ run, command, store }: Place, cache: string, shownCache = cache): Promise<void> {
      // # nix-store --generate-binary-cache-key example-nix-cache-1 /etc/nix/key.private /etc/nix/key.public
      await ok(
        run([
          "generate-binary-cache-key",
          "example-nix-cache-1",
          inDirectory("key.private"),
          inDirectory("key.public"),
        ]),
      );
      const publicKey = readFileSync(inDirectory("key.public"), "utf8");
      expect(publicKey).toMatch(/^example-nix-cache-1:[A-Za-z0-9+/]{43}=$/);
      expect(statSync(inDirectory("key.private")).mode & 0o777).toBe(0o600);
      const hook = inDirectory("upload-to-cache.sh");
      writeFileSync(
        hook,
        `#!/bin/sh

set -eu
set -f # disable globbing
export IFS=' '

echo "Signing paths" $OUT_PATHS
${command} sign-paths --key-file ${inDirectory("key.private")} ${store.join(" ")} $OUT_PATHS
echo "Uploading paths" $OUT_PATHS
exec ${command} copy --to '${cache}' ${store.join(" ")} $OUT_PATHS
`,
      );
      chmodSync(hook, 0o755);
      const conf = ["--option", "substituters", cache, "--option", "trusted-public-keys", publicKey];

      const built = await ok(
        run(["build", "-E", EXAMPLE, "--ui", "plain", ...store, ...conf, "--option", "post-build-hook", hook]),
      );
      const path = built.stdout.trim();
      expect(path).toMatch(/^\/nix\/store\/[a-z0-9]{32}-example$/);
      expect(built.stderr).toContain(`building '`);
      expect(built.stderr).toContain(`Signing paths ${path}`);
      expect(built.stderr).toContain(`Uploading paths ${path}`);
      expect(built.stderr).toContain(`copying path '${path}' to '${shownCache}'...`);

      // $ rm ./result; $ nix-store --delete
      const alive = await run(["delete", path, ...store]);
      expect(alive.status).toBe(1);
      expect(alive.stderr).toContain(
        `Cannot delete path '${path}' since it is still alive. To find out why, use: nix-store --query --roots`,
      );
      rmSync(inDirectory("result"));
      const deleted = await ok(run(["delete", path, ...store]));
      expect(deleted.stdout).toMatch(/^1 store paths deleted, 0\.00 MiB freed$/m);

      // $ nix-store --realise
      const unsigned = await run([
        "realise",
        path,
        "--ui",
        "plain",
        ...store,
        "--option",
        "substituters",
        cache,
        "--option",
        "trusted-public-keys",
        "",
      ]);
      expect(unsigned.status).not.toBe(0);
      const realised = await ok(run(["realise", path, "--ui", "plain", ...store, ...conf]));
      expect(realised.stdout.trim()).toBe(path);
      expect(realised.stderr).toContain(`copying path '${path}' from '${shownCache}'...`);
      expect(realised.stderr).toContain(
        "warning: you did not specify '--add-root'; the result might be removed by the garbage collector",
      );

      const rooted = await ok(
        run(["realise", path, "--ui", "plain", "--add-root", inDirectory("keep"), ...store, ...conf]),
      );
      expect(rooted.stderr).not.toContain("--add-root");
      expect((await run(["delete", path, ...store])).status).toBe(1);
      expect((await ok(run(["verify", path, "-n", "1", ...store, ...conf]))).status).toBe(0);
    }

    it("file:// on the embedded store", async () => {
      await follow(embedded(), `file://${directory}/cache`);
      expect(existsSync(inDirectory("cache/nix-cache-info"))).toBe(true);
    });

    it("http:// on the embedded store", async () => {
      await using server = await startObjectServer();
      await follow(embedded(), server.url);
    });

    it("s3:// on the embedded store, every request signed", async () => {
      await using server = await startFakeS3();
      const cache = `s3://cache?endpoint=127.0.0.1:${server.port}&scheme=http&region=us-east-1`;
      await follow(embedded(server.env), cache, "s3://cache");
      expect([...server.objects.keys()].some((key) => key.endsWith(".narinfo"))).toBe(true);
    });

    for (const generation of generations) {
      it(`file:// on the local store of Nix ${generation.version}`, async () => {
        await using instance = await createInstance(generation);
        await follow(onNix(instance), `file://${directory}/cache`);
      });
    }

    it("http:// on the local store of Nix, with Nix's own programs in the hook", async () => {
      await using server = await startObjectServer({ directory: inDirectory("served") });
      await using instance = await createInstance(generations[0]!);
      await follow({ ...onNix(instance), command: "nix" }, server.url);
    });
  },
);
