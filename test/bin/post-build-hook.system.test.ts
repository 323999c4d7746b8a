// The manual's chapter on the post-build hook on every kind of store and cache; what it leaves in the cache is read by every Nix.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startFakeS3 } from "../support/fake-s3.ts";
import { nixGenerations } from "../support/nix-generations.ts";
import { createInstance } from "../support/nix-instance.ts";
import { startObjectServer } from "../support/object-server.ts";
import { removeDirectory, temporaryDirectory } from "../support/temporary-directory.ts";
import { embeddedPlace, type Followed, followTutorial, nixPlace } from "./tutorial.ts";

const generations = await nixGenerations();

describe.skipIf(generations.length === 0)(
  "the post-build hook of the manual (skipped without root and nix-bin)",
  () => {
    let directory: string;

    beforeEach(() => {
      directory = temporaryDirectory("hook");
    });
    afterEach(() => removeDirectory(directory));

    /** Every Nix takes the path from the cache, and only with the key. */
    const readByAll = async (cache: string, { path, publicKey }: Followed): Promise<void> => {
      for (const generation of generations) {
        await using instance = await createInstance(generation);
        const copy = ["copy", "--from", cache, path];
        const refused = await instance.run("nix", copy);
        expect(refused.status, generation.version).not.toBe(0);
        expect(refused.stderr).toMatch(/signature/);
        await instance.output("nix", [...copy, "--option", "trusted-public-keys", publicKey]);
        await instance.output("nix-store", ["--verify-path", path]);
      }
    };

    it("file:// on the embedded store", async () => {
      const cache = `file://${directory}/cache`;
      await readByAll(cache, await followTutorial(embeddedPlace(directory), cache));
    });

    it("http:// on the embedded store", async () => {
      await using server = await startObjectServer();
      await readByAll(server.url, await followTutorial(embeddedPlace(directory), server.url));
    });

    it("s3:// on the embedded store, every request signed", async () => {
      await using server = await startFakeS3();
      const cache = `s3://cache?endpoint=127.0.0.1:${server.port}&scheme=http&region=us-east-1`;
      await followTutorial(embeddedPlace(directory, server.env), cache, "s3://cache");
      expect([...server.objects.keys()].some((key) => key.endsWith(".narinfo"))).toBe(true);
    });

    for (const generation of generations) {
      it(`file:// on the local store of Nix ${generation.version}`, async () => {
        await using instance = await createInstance(generation);
        await instance.startDaemon();
        await followTutorial(nixPlace(instance, directory), `file://${directory}/cache`);
      });
    }

    it("http:// on the local store of Nix, with Nix's own programs in the hook", async () => {
      await using server = await startObjectServer({ directory: `${directory}/served` });
      await using instance = await createInstance(generations[0]!);
      await followTutorial({ ...nixPlace(instance, directory), command: "nix" }, server.url);
    });
  },
);
