import { describe, expect, it } from "vitest";
import { hashPartOf } from "../../../../../src/engine/formats/store-path.ts";
import { findLogin } from "../../../../../src/engine/stores/binary-cache/objects/netrc.ts";
import { noise } from "../../../../support/noise.ts";
import { type Fault, startObjectServer } from "../../../../support/object-server.ts";
import { ADD, bytesOf, cacheOver, httpPort, sample } from "../support.ts";

/** Faults for the first requests that match. */
function first(times: number, pattern: RegExp, fault: Fault): (method: string, path: string) => Fault | null {
  let left = times;
  return (method, path) => (pattern.test(`${method} ${path}`) && left-- > 0 ? fault : null);
}

const big = sample("big", noise(2_000_000));

describe("a binary cache over HTTP", () => {
  it("takes paths and gives them back over few connections", async () => {
    await using server = await startObjectServer();
    const samples = Array.from({ length: 60 }, (_, index) => sample(`path-${index}`));
    const { port } = httpPort(server.url, { connections: 5 });
    const store = cacheOver(port);
    await store.addPaths(
      samples.map((one) => one.incoming),
      ADD,
    );
    const reader = cacheOver(port);
    const infos = await reader.queryPathInfos(samples.map((one) => one.path));
    expect(infos.size).toBe(60);
    expect(Buffer.compare(await bytesOf(reader.narFromPath(samples[7]!.path, 0n)), samples[7]!.nar)).toBe(0);
    expect(server.mostConnections()).toBeLessThanOrEqual(5);
    port.close();
  });

  it("stores every narinfo after its NAR and after its references' narinfos", async () => {
    await using server = await startObjectServer();
    const base = sample("base", noise(1_000_000));
    const middle = sample("middle", "m", [base]);
    const top = sample("top", "t", [middle, base]);
    const { port } = httpPort(server.url);
    await cacheOver(port).addPaths(
      [base, middle, top].map((one) => one.incoming),
      ADD,
    );
    const puts = server.requests.filter((request) => request.startsWith("PUT") && request.endsWith(".narinfo"));
    expect(puts).toEqual([base, middle, top].map(({ path }) => `PUT /${hashPartOf(path)}.narinfo`));
    port.close();
  });

  it("resumes a download where it broke off", async () => {
    await using server = await startObjectServer({
      fault: first(2, /^GET \/nar/, { type: "truncate", after: 700_000 }),
    });
    const { port, notices } = httpPort(server.url);
    await cacheOver(port, { compression: "none" }).addPaths([big.incoming], ADD);
    expect(Buffer.compare(await bytesOf(cacheOver(port).narFromPath(big.path, 0n)), big.nar)).toBe(0);
    const ranges = server.requests
      .filter((request) => request.includes("bytes="))
      .map((request) => request.split(" ")[2]);
    expect(ranges).toEqual(["bytes=700000-", "bytes=1400000-"]);
    expect(notices[0]).toMatch(/^unable to download 'http:\/\/127.*nar\/.*': .*; retrying in 250 ms$/);
    port.close();
  });

  it("begins again where the server knows no parts", async () => {
    await using server = await startObjectServer({
      ranges: false,
      fault: first(1, /^GET \/nar/, { type: "truncate", after: 700_000 }),
    });
    const { port } = httpPort(server.url);
    await cacheOver(port, { compression: "none" }).addPaths([big.incoming], ADD);
    expect(Buffer.compare(await bytesOf(cacheOver(port).narFromPath(big.path, 0n)), big.nar)).toBe(0);
    port.close();
  });

  it.each<[string, Fault]>([
    ["an overloaded server", { type: "status", status: 503 }],
    ["a broken connection", { type: "reset" }],
  ])("tries again after %s, also uploads", async (_name, fault) => {
    await using server = await startObjectServer({ fault: first(2, /^PUT \/nar/, fault) });
    const { port, notices } = httpPort(server.url);
    await cacheOver(port).addPaths([big.incoming], ADD);
    expect(notices.length).toBe(2);
    expect(Buffer.compare(await bytesOf(cacheOver(port).narFromPath(big.path, 0n)), big.nar)).toBe(0);
    port.close();
  });

  it("gives up after the tries it has, and says why", async () => {
    await using server = await startObjectServer({
      fault: (_method, path) => (path.includes("narinfo") ? { type: "status", status: 500 } : null),
    });
    const { port, notices } = httpPort(server.url, { attempts: 2 });
    await expect(cacheOver(port).queryPathInfos([big.path])).rejects.toThrow(
      /unable to download 'http:.*': HTTP error 500 \('fault 500'\)/,
    );
    expect(notices).toHaveLength(1);
    port.close();
  });

  it("gives up on a server that hangs", async () => {
    await using server = await startObjectServer({ fault: () => ({ type: "hang" }) });
    const { port } = httpPort(server.url, { attempts: 1, stallTimeoutMs: 100 });
    await expect(cacheOver(port).queryPathInfos([big.path])).rejects.toMatchObject({
      code: "CACHE_UNREACHABLE",
      message: expect.stringContaining("no byte for 0.1 seconds"),
    });
    port.close();
  });

  it("gives up on a server that is not there", async () => {
    const server = await startObjectServer();
    await server.stop();
    const { port } = httpPort(server.url, { attempts: 1 });
    await expect(cacheOver(port).queryPathInfos([big.path])).rejects.toMatchObject({ code: "CACHE_UNREACHABLE" });
    port.close();
  });

  it.each([403, 404, 410])("takes status %d for not there", async (status) => {
    await using server = await startObjectServer({ fault: () => ({ type: "status", status }) });
    const { port } = httpPort(server.url);
    const store = cacheOver(port);
    expect((await store.queryPathInfos([big.path])).size).toBe(0);
    expect((await store.queryValidPaths([big.path])).size).toBe(0);
    await expect(store.describe()).rejects.toThrow(`'${server.url}' does not appear to be a binary cache`);
    port.close();
  });

  it("says who it is, and never shows it", async () => {
    const authorization = `Basic ${Buffer.from("joe:s3cret").toString("base64")}`;
    await using server = await startObjectServer({ authorization });
    const known = httpPort(server.url, { login: { login: "joe", password: "s3cret" } });
    await cacheOver(known.port).addPaths([sample("hello").incoming], ADD);
    expect(server.objects.size).toBe(3);
    const unknown = httpPort(server.url, { login: { login: "joe", password: "wrong-s3cret" } });
    const refused = await cacheOver(unknown.port)
      .addPaths([sample("other").incoming], ADD)
      .catch((error: Error) => error);
    expect(String(refused)).toContain("HTTP error 401");
    expect(`${refused} ${(refused as Error).stack} ${unknown.notices.join()}`).not.toContain("s3cret");
    known.port.close();
    unknown.port.close();
  });

  it("can be aborted in the middle", async () => {
    await using server = await startObjectServer({
      fault: (_method, path) => (path.startsWith("/nar") ? { type: "hang" } : null),
    });
    const { port } = httpPort(server.url);
    const abort = new AbortController();
    const adding = cacheOver(port).addPaths([big.incoming], ADD, abort.signal);
    setTimeout(() => abort.abort(new Error("enough")), 100);
    await expect(adding).rejects.toThrow("enough");
    port.close();
  });

  it("follows redirects and keeps the password from other hosts", async () => {
    const seen: (string | undefined)[] = [];
    await using target = await startObjectServer({
      inspect: (request) => {
        seen.push(request.headers.authorization);
        return null;
      },
    });
    await using server = await startObjectServer({
      fault: (_method, path) => ({ type: "status", status: 302, headers: { location: `${target.url}${path}` } }),
    });
    const plain = httpPort(target.url);
    const hello = sample("hello");
    await cacheOver(plain.port).addPaths([hello.incoming], ADD);
    seen.length = 0;
    const { port } = httpPort(server.url, { login: { login: "joe", password: "secret" } });
    expect(Buffer.compare(await bytesOf(cacheOver(port).narFromPath(hello.path, 0n)), hello.nar)).toBe(0);
    expect(seen.length).toBe(2);
    expect(seen).toEqual([undefined, undefined]);
    port.close();
    plain.port.close();
  });
});

describe("netrc", () => {
  const text = `# comment
machine cache.example.org login joe password "with \\"blank\\" s"
macdef init
machine evil login x password y

machine other login jane
  password p # more
default login anonymous password guest`;
  it.each([
    ["cache.example.org", { login: "joe", password: 'with "blank" s' }],
    ["CACHE.example.ORG", { login: "joe", password: 'with "blank" s' }],
    ["other", { login: "jane", password: "p" }],
    ["evil", { login: "anonymous", password: "guest" }],
  ])("finds the login for %s", (host, login) => expect(findLogin(text, host)).toEqual(login));
  it("finds nobody where there is no default", () => expect(findLogin("machine a login b password c", "x")).toBeNull());
});
