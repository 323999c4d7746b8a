import { describe, expect, it } from "vitest";
import { systemClock } from "../../../../../src/engine/base/clock.ts";
import { messageOf } from "../../../../../src/engine/base/errors.ts";
import { type CacheReference, parseStoreReference } from "../../../../../src/engine/config/store-reference.ts";
import {
  type AwsWorld,
  findCredentials,
  findRegion,
} from "../../../../../src/engine/stores/binary-cache/objects/aws-profile.ts";
import { HttpClient } from "../../../../../src/engine/stores/binary-cache/objects/http-client.ts";
import { S3Objects } from "../../../../../src/engine/stores/binary-cache/objects/s3.ts";
import { type FakeS3, startFakeS3 } from "../../../../support/fake-s3.ts";
import { noise } from "../../../../support/noise.ts";
import { ADD, bytesOf, cacheOver, sample } from "../support.ts";

function bucket(
  server: FakeS3,
  query = "",
  environment: Readonly<Record<string, string>> = server.env,
  name = "cache",
) {
  const notices: string[] = [];
  const text = `s3://${name}?endpoint=127.0.0.1:${server.port}&scheme=http&${query}`;
  const reference = parseStoreReference(text, { cwd: "/", home: "/" }).reference as CacheReference;
  const client = new HttpClient({
    clock: systemClock,
    connectTimeoutMs: 2000,
    stallTimeoutMs: 2000,
    connections: 25,
    environment: {},
    agent: "test",
  });
  const world: AwsWorld = { environment, readFile: () => null, runProgram: async () => "" };
  const options = {
    uri: `s3://${name}`,
    clock: systemClock,
    random: () => 0,
    attempts: 3,
    notice: (text: string) => notices.push(text),
  };
  return { port: new S3Objects({ ...options, reference, client, environment }, world), notices };
}

describe("a binary cache in an S3 bucket", () => {
  it("takes paths and gives them back, every request signed", async () => {
    await using server = await startFakeS3();
    const glibc = sample("glibc");
    const hello = sample("hello+world?=1", noise(300_000), [glibc]);
    const { port } = bucket(server);
    await cacheOver(port).addPaths([glibc.incoming, hello.incoming], ADD);
    const reader = cacheOver(bucket(server).port);
    expect((await reader.queryPathInfos([glibc.path, hello.path])).size).toBe(2);
    expect(Buffer.compare(await bytesOf(reader.narFromPath(hello.path, 0n)), hello.nar)).toBe(0);
    expect((await reader.queryAllValidPaths()).sort()).toEqual([glibc.path, hello.path].sort());
    const types = new Set([...server.objects.values()].map((object) => object.contentType));
    expect(types).toEqual(new Set(["text/x-nix-cache-info", "application/x-nix-nar", "text/x-nix-narinfo"]));
    port.close();
  });

  it("keeps a cache in a folder of the bucket", async () => {
    await using server = await startFakeS3();
    const { port } = bucket(server, "", server.env, "cache/some/folder");
    const samples = ["a", "b", "c", "d", "e"].map((name) => sample(name));
    await cacheOver(port).addPaths(
      samples.map((one) => one.incoming),
      ADD,
    );
    expect([...server.objects.keys()].every((path) => path.startsWith("/cache/some/folder/"))).toBe(true);
    expect(await cacheOver(port).queryAllValidPaths()).toHaveLength(5);
    port.close();
  });

  it("sends large files in parts and tries each again on its own", async () => {
    const failed = new Set<string>();
    await using server = await startFakeS3({
      fault: (method, path, count) => {
        if (method !== "PUT" || !path.includes("/nar/") || failed.size >= 2) return null;
        failed.add(String(count));
        return { type: "status", status: 500 };
      },
    });
    const big = sample("big", noise(70 * 1024 * 1024));
    const { port, notices } = bucket(server);
    await cacheOver(port, { compression: "none" }).addPaths([big.incoming], ADD);
    expect(server.requests.filter((request) => request.includes("partNumber=")).length).toBe(7);
    expect(notices).toHaveLength(2);
    expect(server.unfinished()).toBe(0);
    let read = 0;
    for await (const chunk of cacheOver(bucket(server).port).narFromPath(big.path, 0n)) read += chunk.length;
    expect(read).toBe(big.nar.length);
    port.close();
  });

  it("leaves no parts behind when an upload fails", async () => {
    await using server = await startFakeS3({
      fault: (method, path, count) =>
        method === "PUT" && path.includes("/nar/") && count > 4 ? { type: "status", status: 400 } : null,
    });
    const { port } = bucket(server);
    await expect(
      cacheOver(port, { compression: "none" }).addPaths([sample("big", noise(70 * 1024 * 1024)).incoming], ADD),
    ).rejects.toMatchObject({
      code: "CACHE_REFUSED",
    });
    expect(server.unfinished()).toBe(0);
    port.close();
  });

  it("says what is wrong with the credentials, and never shows them", async () => {
    await using server = await startFakeS3();
    const secret = "wr0ng-secret";
    for (const [env, code] of [
      [{ ...server.env, AWS_SECRET_ACCESS_KEY: secret }, "SignatureDoesNotMatch"],
      [{ AWS_ACCESS_KEY_ID: "NOBODY", AWS_SECRET_ACCESS_KEY: secret }, "InvalidAccessKeyId"],
    ] as const) {
      const { port, notices } = bucket(server, "", env);
      const store = cacheOver(port);
      const failures = await Promise.all(
        [store.queryPathInfos([sample("hello").path]), store.addPaths([sample("hello").incoming], ADD)].map((work) =>
          work.then(
            () => null,
            (error: unknown) => error,
          ),
        ),
      );
      for (const failure of failures) {
        expect(messageOf(failure)).toContain(`the server refuses the credentials: ${code} (403)`);
        expect(
          `${String(failure)} ${JSON.stringify(failure)} ${(failure as Error).stack} ${notices.join()}`,
        ).not.toContain(secret);
      }
      port.close();
    }
  });

  it("tells another region, a missing bucket and a bad parameter apart", async () => {
    await using server = await startFakeS3({ region: "eu-central-1" });
    const wrong = bucket(server);
    await expect(cacheOver(wrong.port).describe()).rejects.toMatchObject({ code: "S3_BAD_CREDENTIALS" });
    const right = bucket(server, "region=eu-central-1");
    await expect(cacheOver(right.port).describe()).rejects.toMatchObject({ code: "CACHE_NOT_THERE" });
    const none = bucket(server, "region=eu-central-1", server.env, "nothing");
    await expect(cacheOver(none.port).describe()).rejects.toMatchObject({ code: "S3_NO_BUCKET" });
    expect(() => bucket(server, "addressing-style=sideways")).toThrow(
      "addressing-style': expected auto, path or virtual, found 'sideways'",
    );
  });

  it("sends a session token", async () => {
    await using server = await startFakeS3({ sessionToken: "token" });
    const { port } = bucket(server, "", { ...server.env, AWS_SESSION_TOKEN: "token" });
    await cacheOver(port).addPaths([sample("hello").incoming], ADD);
    expect(server.objects.size).toBe(3);
    port.close();
  });

  it("resumes downloads, and outlives a bucket that is slow", async () => {
    let left = 2;
    await using server = await startFakeS3({
      delayMs: 20,
      fault: (method, path) =>
        method === "GET" && path.includes("/nar/") && left-- > 0 ? { type: "truncate", after: 100_000 } : null,
    });
    const big = sample("big", noise(500_000));
    const { port } = bucket(server);
    await cacheOver(port, { compression: "none" }).addPaths([big.incoming], ADD);
    expect(Buffer.compare(await bytesOf(cacheOver(port).narFromPath(big.path, 0n)), big.nar)).toBe(0);
    port.close();
  });
});

describe("AWS profiles", () => {
  const files: Readonly<Record<string, string>> = {
    "/home/u/.aws/credentials":
      "[default]\naws_access_key_id = ID0\naws_secret_access_key=S0\n\n[work]\naws_access_key_id=ID1\naws_secret_access_key=S1\naws_session_token=T1\n",
    "/home/u/.aws/config":
      "[default]\nregion = eu-west-1\n[profile work]\nregion=eu-north-1\ns3 =\n  max_concurrent_requests = 20\n[profile tool]\ncredential_process = get-credentials\n[profile role]\nrole_arn = arn:x\n",
  };
  const world = (environment: Readonly<Record<string, string>> = {}, answer = ""): AwsWorld => ({
    environment: { HOME: "/home/u", ...environment },
    readFile: (path) => files[path] ?? null,
    runProgram: async () => answer,
  });

  it.each([
    [null, {}, "ID0"],
    ["work", {}, "ID1"],
    [null, { AWS_PROFILE: "work" }, "ID1"],
    [null, { AWS_ACCESS_KEY_ID: "E", AWS_SECRET_ACCESS_KEY: "S", AWS_PROFILE: "work" }, "E"],
    ["work", { AWS_ACCESS_KEY_ID: "E", AWS_SECRET_ACCESS_KEY: "S" }, "ID1"],
    [null, { HOME: "/nowhere" }, undefined],
  ])("profile %s with %j has the key %s", async (named, environment, id) => {
    expect((await findCredentials(named, world(environment)))?.accessKeyId).toBe(id);
  });

  it("finds the region", () => {
    expect(findRegion(null, world())).toBe("eu-west-1");
    expect(findRegion("work", world())).toBe("eu-north-1");
    expect(findRegion("work", world({ AWS_REGION: "us-west-2" }))).toBe("us-west-2");
    expect(findRegion("role", world())).toBeNull();
  });

  it("asks a credential_process", async () => {
    const answer = JSON.stringify({
      Version: 1,
      AccessKeyId: "P",
      SecretAccessKey: "Q",
      Expiration: "2030-01-01T00:00:00Z",
    });
    expect(await findCredentials("tool", world({}, answer))).toEqual({
      accessKeyId: "P",
      secretAccessKey: "Q",
      sessionToken: null,
      expiresAt: Date.UTC(2030, 0, 1),
    });
    await expect(findCredentials("tool", world({}, "{}"))).rejects.toMatchObject({ code: "AWS_CREDENTIALS_UNUSABLE" });
  });

  it("says what it cannot do", async () => {
    await expect(findCredentials("nobody", world())).rejects.toThrow(
      "AWS profile 'nobody' is in neither of /home/u/.aws/credentials, /home/u/.aws/config",
    );
    await expect(findCredentials("role", world())).rejects.toMatchObject({ code: "AWS_CREDENTIALS_UNUSABLE" });
  });
});
