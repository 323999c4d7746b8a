// Every real Nix that can be had here as a client of our servers: copying both ways, looking, verifying, building on us and in us.
import { chmodSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { StorePath } from "../../../src/engine/formats/store-path.ts";
import { serveServe } from "../../../src/engine/protocols/serve/server.ts";
import { serveWorker } from "../../../src/engine/protocols/worker/server.ts";
import { StreamTransport } from "../../../src/engine/transports/stream-transport.ts";
import type { Transport } from "../../../src/engine/transports/transport.ts";
import { hostSystem } from "../../support/builders.ts";
import { atLeast, nixGenerations } from "../../support/nix-generations.ts";
import { createInstance, type NixInstance } from "../../support/nix-instance.ts";
import { FakeStore, pathOf } from "./support.ts";

const generations = await nixGenerations();
if (generations.length === 0) it.skip("SKIPPED: no Nix here to talk to", () => undefined);

describe.each(generations)("Nix $version as a client", (generation) => {
  const store = new FakeStore();
  const servers: Server[] = [];
  const failures: unknown[] = [];
  let log = "";
  let instance: NixInstance;

  /** Listens on a socket in the machine and puts a program beside it that leads there. */
  function offer(name: string, serve: (transport: Transport) => Promise<void>): void {
    const home = join(instance.directory, "homes/root");
    const server = createServer((socket) => {
      serve(transportOf(socket)).catch((error: unknown) => failures.push(error));
    });
    server.listen(join(home, `${name}.socket`));
    servers.push(server);
    const proxy = "/checkout/test/engine/protocols/socket-proxy.mjs";
    const script = `#!/bin/sh\nexec /checkout/node_modules/node-linux-${process.arch}/bin/node ${proxy} /homes/root/${name}.socket\n`;
    writeFileSync(join(home, name), script);
    chmodSync(join(home, name), 0o755);
  }

  beforeAll(async () => {
    instance = await createInstance(generation, { name: `client-${generation.version}` });
    offer("worker", (transport) =>
      serveWorker(transport, store, { trusted: true, nixVersion: "2.34.8", firstActivity: 1n }),
    );
    offer("serve", (transport) =>
      serveServe(transport, store, { trusted: true, allowWrite: true, log: (text) => (log += text) }),
    );
  });
  afterAll(async () => {
    for (const server of servers) server.close();
    await instance.remove();
  });

  const uris = {
    worker: "ssh-ng://localhost?remote-program=/homes/root/worker",
    serve: "ssh://localhost?remote-program=/homes/root/serve",
  };

  describe.each(["worker", "serve"] as const)("over the %s protocol", (protocol) => {
    const uri = uris[protocol];

    it("finds us", async () => {
      const command = atLeast(generation, "2.19") ? ["store", "info"] : ["store", "ping"];
      const answer = await instance.run("nix", [...command, "--store", uri]);
      expect(answer.status, answer.stderr).toBe(0);
      if (protocol === "worker" && atLeast(generation, "2.15"))
        expect(answer.stdout + answer.stderr).toMatch(/2\.34\.8/);
    });

    it("copies a closure to us and back", async () => {
      const expression = `let dep = builtins.toFile "dep-${protocol}" "dependency"; in derivation { name = "top-${protocol}"; system = "${hostSystem}"; builder = "/bin/sh"; args = [ "-c" "echo \${dep} > $out" ]; }`;
      const top = (await instance.output("nix-build", ["--no-out-link", "-E", expression])) as StorePath;
      // Over the worker protocol signatures are asked for; the serve protocol never does.
      const unsigned = await instance.run("nix", ["copy", "--to", uri, top]);
      if (protocol === "worker") expect(unsigned.stderr).toContain("lacks a signature by a trusted key");
      else expect(unsigned.status, unsigned.stderr).toBe(0);
      await instance.output("nix", ["copy", "--no-check-sigs", "--to", uri, top]);
      const dep = [...store.paths.keys()].find((path) => path.endsWith(`-dep-${protocol}`));
      expect(store.paths.get(top)?.info.references).toEqual([dep]);

      await instance.output("nix-store", ["--delete", top]);
      await instance.output("nix", ["copy", "--no-check-sigs", "--from", uri, top]);
      expect(await instance.output("nix-store", ["--query", "--references", top])).toBe(dep);
      expect(await instance.output("cat", [top])).toBe(dep);
      await instance.output("nix-store", ["--verify", "--check-contents"]);
    });

    it("looks at us and verifies us", async () => {
      const one = store.add(`one-${protocol}`, "1");
      const two = store.add(`two-${protocol}`, "2".repeat(100_000), [one.path]);
      const listed = await instance.output("nix", ["path-info", "--store", uri, "-r", two.path]);
      expect(listed.split("\n").sort()).toEqual([one.path, two.path].sort());
      await instance.output("nix", ["store", "verify", "--no-trust", "--store", uri, "-r", two.path]);
      const missing = await instance.run("nix", ["path-info", "--store", uri, pathOf("missing")]);
      expect(missing.status).not.toBe(0);
      store.paths.set(one.path, {
        ...store.paths.get(one.path)!,
        info: { ...one, narHash: new Uint8Array(32).fill(1) },
      });
      const corrupt = await instance.run("nix", ["store", "verify", "--no-trust", "--store", uri, one.path]);
      expect(corrupt.stderr).toContain("was modified");
    });

    it("builds on us as its builder", async () => {
      const expression = `derivation { name = "remote-${protocol}"; system = "${hostSystem}"; builder = "/bin/never"; script = "talk:3"; src = builtins.toFile "input-${protocol}" "x"; }`;
      const built = await instance.run("nix-build", [
        ...["--no-out-link", "-j0", "--builders", `${uri} ${hostSystem} - 1 1`, "-E", expression],
      ]);
      expect(built.status, built.stderr).toBe(0);
      const out = built.stdout.trim() as StorePath;
      expect(await instance.output("cat", [out])).toBe(`output of remote-${protocol}`);
      expect([...store.paths.keys()].some((path) => path.endsWith(`-input-${protocol}`))).toBe(true);
      expect(built.stderr + log).toContain(`line 2 of remote-${protocol}`);

      const failing = `derivation { name = "failing-${protocol}"; system = "${hostSystem}"; builder = "/bin/never"; script = "fail"; }`;
      const failed = await instance.run("nix-build", [
        ...["--no-out-link", "-j0", "--builders", `${uri} ${hostSystem} - 1 1`, "-E", failing],
      ]);
      expect(failed.status).not.toBe(0);
      expect(failed.stderr).toContain("builder failed");
    });
  });

  it("evaluates into us and builds in us", async () => {
    const expression = `derivation { name = "inside"; system = "${hostSystem}"; builder = "/bin/never"; script = "ok"; }`;
    const built = await instance.run(
      "nix",
      [...["build", "--impure", "--no-link", "--print-out-paths", "--store", uris.worker, "--expr", expression]].filter(
        (word) => word !== "--print-out-paths" || atLeast(generation, "2.9"),
      ),
    );
    expect(built.status, built.stderr).toBe(0);
    expect([...store.paths.keys()].some((path) => path.endsWith("-inside"))).toBe(true);
    const drv = [...store.paths.keys()].find((path) => path.endsWith("-inside.drv"));
    const queried = await instance.output("nix-store", ["--store", uris.worker, "--query", "--outputs", drv ?? ""]);
    expect(queried).toMatch(/-inside$/);
  });

  it("never broke the protocol", () => {
    expect(failures).toEqual([]);
  });
});

function transportOf(socket: Socket): Transport {
  const transport = new StreamTransport({
    name: "client",
    input: socket,
    output: socket,
    stderr: null,
    drop: () => socket.destroySoon(),
  });
  socket.on("error", () => undefined);
  socket.once("close", () => transport.settle({ type: "closedThere", exitCode: null, signal: null }));
  return transport;
}
