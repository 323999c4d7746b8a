// The manual's tutorial and copying against a real S3 server that checks every signature; and what it left there read by Nix.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { atLeast, nixGenerations } from "../support/nix-generations.ts";
import { createInstance } from "../support/nix-instance.ts";
import { programUser } from "../support/program.ts";
import { isS3ServerWanted, type S3Server, startS3Server } from "../support/s3-server.ts";
import { removeDirectory, temporaryDirectory } from "../support/temporary-directory.ts";
import { embeddedPlace, followTutorial, nixPlace } from "./tutorial.ts";

const generations = await nixGenerations();
const usable = generations.length > 0 && isS3ServerWanted();

describe.skipIf(!usable)("a real S3 server (skipped without TSBUILD_TOP_TEST_S3=1, root and nix-bin)", () => {
  let server: S3Server;
  let directory: string;

  beforeAll(async () => {
    server = await startS3Server();
    await server.createBucket("example-nix-cache", { isPublic: true });
  }, 300_000);
  afterAll(() => server?.stop());
  beforeEach(() => {
    directory = temporaryDirectory("real-s3");
  });
  afterEach(() => removeDirectory(directory));

  const uri = (more = ""): string =>
    `s3://example-nix-cache?endpoint=127.0.0.1:${server.port}&scheme=http&region=${server.region}${more}`;
  const narInfos = async (): Promise<string[]> =>
    (await server.keys("example-nix-cache")).filter((key) => key.endsWith(".narinfo"));

  it("has the tutorial followed on the embedded store, and Nix reads what it left with signatures required", async () => {
    const { path, publicKey } = await followTutorial(
      embeddedPlace(directory, server.env),
      uri(),
      "s3://example-nix-cache",
    );
    expect(await narInfos()).toContain(`${path.slice("/nix/store/".length).slice(0, 32)}.narinfo`);
    const generation = generations.at(-1)!;
    expect(atLeast(generation, "2.34"), "a Nix with S3").toBe(true);
    await using instance = await createInstance(generation);
    // Debian builds Nix without the library that signs requests, so it reads as everybody may.
    const from = `s3://example-nix-cache?endpoint=http://${server.publicEndpoint}&region=${server.region}`;
    const refused = await instance.run("nix", ["copy", "--from", from, path]);
    expect(refused.status).not.toBe(0);
    expect(refused.stderr).toMatch(/signature/);
    await instance.output("nix", ["copy", "--from", from, path, "--option", "trusted-public-keys", publicKey]);
    await instance.output("nix-store", ["--verify-path", path]);
  });

  for (const generation of generations) {
    it(`has the tutorial followed on the local store of Nix ${generation.version}`, async () => {
      await using instance = await createInstance(generation);
      await followTutorial(nixPlace(instance, directory, server.env), uri(), "s3://example-nix-cache");
    });
  }

  it("takes what is large in parts, and gives back what a real Nix packed; profiles say who we are", async () => {
    const user = programUser(join(directory, "home"));
    await using instance = await createInstance(generations.at(-1)!);
    const file = join(directory, "large");
    const bytes = Buffer.alloc(72 * 1024 * 1024);
    for (let at = 0, state = 1; at + 4 <= bytes.length; at += 4) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      bytes.writeUInt32LE((state ^ (state >>> 15)) >>> 0, at);
    }
    writeFileSync(file, bytes);
    const path = await instance.output("nix-store", ["--add", file]);
    const packed = `file://${directory}/packed`;
    await instance.output("nix", ["copy", "--to", `${packed}?compression=none`, path]);
    const credentials = join(directory, "credentials");
    const secrets = `aws_access_key_id = ${server.accessKeyId}\naws_secret_access_key = ${server.secretAccessKey}\n`;
    writeFileSync(credentials, `[uploader]\n${secrets}`, { mode: 0o600 });
    const env = { AWS_SHARED_CREDENTIALS_FILE: credentials };
    const to = uri("&profile=uploader&compression=none");
    const sent = await user.run(["copy", "--from", packed, "--to", to, path], { env });
    expect(sent.status, sent.stderr).toBe(0);
    const target = join(directory, "back");
    const back = ["copy", "--from", uri(), "--to", target, path];
    const read = await user.run(back, { env: server.env });
    expect(read.status, read.stderr).toBe(0);
    expect(Buffer.compare(readFileSync(join(target, path)), bytes)).toBe(0);
  });

  it("refuses a wrong secret, a wrong region and a bucket that is not there, and each is said", async () => {
    const user = programUser(join(directory, "home"));
    const file = join(directory, "small");
    writeFileSync(file, "small");
    await using instance = await createInstance(generations[0]!);
    const path = await instance.output("nix-store", ["--add", file]);
    const packed = `file://${directory}/packed`;
    await instance.output("nix", ["copy", "--to", packed, path]);
    const attempt = async (to: string, env: Readonly<Record<string, string>>): Promise<string> => {
      const { status, stderr } = await user.run(["copy", "--from", packed, "--to", to, path], { env });
      expect(status).toBe(1);
      return stderr;
    };
    const before = await narInfos();
    const wrong = await attempt(uri(), { ...server.env, AWS_SECRET_ACCESS_KEY: "not-the-one" });
    expect(wrong).toContain("the server refuses the credentials: SignatureDoesNotMatch");
    expect(wrong).not.toContain("not-the-one");
    const region = await attempt(uri().replace(server.region, "eu-west-9"), server.env);
    expect(region).toMatch(/region/);
    const bucket = await attempt(uri().replace("example-nix-cache", "nobodys-bucket"), server.env);
    expect(bucket).toContain("there is no such bucket");
    expect(await narInfos()).toEqual(before);
  });
});
