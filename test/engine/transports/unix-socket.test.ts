import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { unixSocketOpener } from "../../../src/engine/transports/unix-socket.ts";
import { type PeerKind, transportContract } from "../../contracts/transport.ts";

const directory = mkdtempSync(join(tmpdir(), "tsbt-unix-"));
const servers: Server[] = [];
const sockets = new Set<Socket>();

async function listen(kind: PeerKind): Promise<string> {
  const path = join(directory, `${kind}.sock`);
  const server = createServer({ pauseOnConnect: kind === "silent" }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
    if (kind === "echo") socket.pipe(socket);
    if (kind === "leaves") socket.once("data", () => socket.end());
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return path;
}

beforeAll(async () => {
  for (const kind of ["echo", "silent", "leaves"] as const) await listen(kind);
});

afterAll(() => {
  for (const socket of sockets) socket.destroy();
  for (const server of servers) server.close();
  rmSync(directory, { recursive: true });
});

transportContract("a unix socket", (kind) => unixSocketOpener(join(directory, `${kind}.sock`)).open(), {
  hasStderr: false,
  hasExitCode: false,
});

describe("opening a unix socket", () => {
  it("says in Nix's words why it cannot", async () => {
    const missing = join(directory, "missing.sock");
    await expect(unixSocketOpener(missing).open()).rejects.toMatchObject({
      code: "UNIX_SOCKET_NOT_FOUND",
      message: `cannot connect to socket at '${missing}': No such file or directory`,
    });
    const file = join(directory, "file");
    writeFileSync(file, "");
    await expect(unixSocketOpener(file).open()).rejects.toMatchObject({ code: "UNIX_SOCKET_REFUSED" });
  });

  it("destroys the socket on close, so that the other side sees it gone and not half-closed", async () => {
    const path = join(directory, "half-open.sock");
    const seen = Promise.withResolvers<Socket>();
    const server = createServer({ allowHalfOpen: true }, seen.resolve);
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const opener = unixSocketOpener(path);
    const transport = await opener.open();
    const socket = await seen.promise;
    sockets.add(socket);
    socket.resume();
    opener.close();
    expect(await transport.closed).toEqual({ type: "closedHere" });
    // A half-closed peer would still take this; one that is gone answers with EPIPE.
    const refused = new Promise<NodeJS.ErrnoException>((resolve) => socket.once("error", resolve));
    await new Promise((resolve) => socket.once("end", resolve));
    socket.write("are you there?");
    expect((await refused).code).toBe("EPIPE");
    await expect(opener.open()).rejects.toMatchObject({ code: "TRANSPORT_CLOSED" });
  });

  it("gives up when asked to", async () => {
    const controller = new AbortController();
    controller.abort(new Error("not wanted"));
    await expect(unixSocketOpener(join(directory, "echo.sock")).open(controller.signal)).rejects.toThrow("not wanted");
  });
});
