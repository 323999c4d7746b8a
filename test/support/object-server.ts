// A small HTTP server that keeps objects in memory or in a directory, with faults on demand: for binary caches in tests.
import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
} from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";

/** What goes wrong with one request. */
export type Fault =
  /** Never answers. */
  | { readonly type: "hang" }
  | { readonly type: "status"; readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  /** Sends so many bytes of the object and breaks the connection. */
  | { readonly type: "truncate"; readonly after: number }
  /** Breaks the connection before answering. */
  | { readonly type: "reset" };

export interface ObjectServerOptions {
  /** Keeps objects as files below it; in memory when absent. */
  readonly directory?: string;
  /** Decides before every request; null lets it through. */
  readonly fault?: (method: string, path: string, count: number) => Fault | null;
  /** Milliseconds between a request and its answer, asked for anew each time; none when absent. */
  readonly delayMs?: () => number;
  /** Refuses requests that lack this `Authorization`. */
  readonly authorization?: string;
  /** Whether parts of objects can be asked for; true when absent. */
  readonly ranges?: boolean;
  /** Looks at a request before anything else; gives back a status and body to answer, or null. */
  readonly inspect?: (
    request: IncomingMessage,
    body: Buffer,
  ) => { readonly status: number; readonly body: string } | null;
}

export interface ObjectServer {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  readonly port: number;
  /** Objects by path, `/nar/…`; empty where a directory keeps them. */
  readonly objects: Map<string, Buffer>;
  /** `GET /nar/…`, in the order they came; with the range where one was asked for. */
  readonly requests: string[];
  /** Connections that are open now. */
  readonly connections: () => number;
  /** The most that were open at once. */
  readonly mostConnections: () => number;
  readonly stop: () => Promise<void>;
  readonly [Symbol.asyncDispose]: () => Promise<void>;
}

/** Starts a server on loopback. */
export async function startObjectServer(options: ObjectServerOptions = {}): Promise<ObjectServer> {
  const objects = new Map<string, Buffer>();
  const requests: string[] = [];
  let open = 0;
  let most = 0;
  let uploads = 0;
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  server.keepAliveTimeout = 60_000;
  server.on("connection", (socket) => {
    open += 1;
    most = Math.max(most, open);
    socket.once("close", () => {
      open -= 1;
    });
  });

  const fileOf = (path: string): string => join(options.directory ?? "", decodeURIComponent(path));
  const sizeOf = (path: string): number | null => {
    if (options.directory === undefined) return objects.get(path)?.length ?? null;
    return existsSync(fileOf(path)) && statSync(fileOf(path)).isFile() ? statSync(fileOf(path)).size : null;
  };

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const method = request.method ?? "";
    const path = (request.url ?? "").split("?")[0] ?? "";
    const range = request.headers.range;
    requests.push(range === undefined ? `${method} ${path}` : `${method} ${path} ${range}`);
    const fault = options.fault?.(method, path, requests.length) ?? null;
    if (fault?.type === "hang") return;
    if (fault?.type === "reset") {
      request.socket.resetAndDestroy();
      return;
    }
    const delayMs = options.delayMs?.() ?? 0;
    if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
    if (options.authorization !== undefined && request.headers.authorization !== options.authorization) {
      request.resume();
      response.writeHead(401).end("who are you?");
      return;
    }
    if (fault?.type === "status") {
      request.resume();
      response.writeHead(fault.status, fault.headers).end(`fault ${fault.status}`);
      return;
    }
    if (options.inspect !== undefined) {
      const body = method === "GET" || method === "HEAD" ? Buffer.alloc(0) : await bodyOf(request);
      const verdict = options.inspect(request, body);
      if (verdict !== null) response.writeHead(verdict.status).end(verdict.body);
      else if (method === "PUT") store(path, body, response);
      else await send(method, path, range, response, fault);
      return;
    }
    if (method === "PUT") {
      if (options.directory === undefined) {
        store(path, await bodyOf(request), response);
        return;
      }
      mkdirSync(dirname(fileOf(path)), { recursive: true });
      const partial = `${fileOf(path)}.${++uploads}.part`;
      await pipeline(request, createWriteStream(partial));
      renameSync(partial, fileOf(path));
      response.writeHead(200).end();
      return;
    }
    await send(method, path, range, response, fault);
  }

  function store(path: string, body: Buffer, response: ServerResponse): void {
    objects.set(path, body);
    response.writeHead(200).end();
  }

  async function send(
    method: string,
    path: string,
    range: string | undefined,
    response: ServerResponse,
    fault: Fault | null,
  ): Promise<void> {
    const size = sizeOf(path);
    if (size === null) {
      response.writeHead(404).end();
      return;
    }
    const ranges = options.ranges ?? true;
    const start = ranges ? Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1] ?? 0) : 0;
    const partial = ranges && range !== undefined;
    response.writeHead(partial ? 206 : 200, {
      "content-length": size - start,
      ...(ranges ? { "accept-ranges": "bytes" } : {}),
      ...(partial ? { "content-range": `bytes ${start}-${size - 1}/${size}` } : {}),
    });
    if (method === "HEAD") {
      response.end();
      return;
    }
    if (fault?.type === "truncate") {
      const whole = options.directory === undefined ? objects.get(path)! : readFileSync(fileOf(path));
      response.write(whole.subarray(start, start + fault.after), () => setTimeout(() => response.destroy(), 20));
      return;
    }
    if (options.directory === undefined) response.end(objects.get(path)!.subarray(start));
    else await pipeline(createReadStream(fileOf(path), { start, highWaterMark: 256 * 1024 }), response);
  }

  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const stop = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  };
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    objects,
    requests,
    connections: () => open,
    mostConnections: () => most,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}
