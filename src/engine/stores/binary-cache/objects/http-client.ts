// One HTTP request at a time over kept connections: time limits, redirects, proxies, certificates. Retries are decided elsewhere.
import { readFileSync } from "node:fs";
import { Agent as HttpAgent, request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Clock } from "../../../base/clock.ts";
import { messageOf } from "../../../base/errors.ts";
import type { Upload } from "../port.ts";
import { Watchdog } from "./watchdog.ts";

export interface HttpClientOptions {
  readonly clock: Clock;
  /** Milliseconds, 0 sets no limit. */
  readonly connectTimeoutMs: number;
  /** Milliseconds without a byte in either direction, 0 no limit. */
  readonly stallTimeoutMs: number;
  /** Maximum number of connections to one host, 0 no limit. */
  readonly connections: number;
  /** For proxies (`https_proxy`…) and certificates (`NIX_SSL_CERT_FILE`, `SSL_CERT_FILE`). */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** `User-Agent`. */
  readonly agent: string;
}

export interface HttpRequest {
  readonly method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE";
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** The part of an upload to send, from `start` up to `end`; null for nothing. */
  readonly body: { readonly upload: Upload; readonly start: number; readonly end: number } | null;
  /** Headers for the URL that a redirect leads to; null follows no redirects. */
  readonly redirected: ((url: URL) => Readonly<Record<string, string>>) | null;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Throws {@link HttpFailure} when it breaks off. Iterate it, or call `read` or `discard`. */
  readonly body: AsyncIterable<Uint8Array>;
  /** The whole body; null, and the connection dropped, when it has more than `maxBytes`. Throws like `body`. */
  read(maxBytes: number): Promise<Buffer | null>;
  /** Reads and discards a short rest, so that the connection can be reused; drops the connection if there is more. */
  discard(): void;
}

/**
 * The kind of a failure. `stale`: the server had meanwhile closed a kept connection, so an immediate retry is fine.
 * `unreachable`: there was no connection at all.
 */
export type FailureKind = "stale" | "unreachable" | "brokenOff";

/** A request without a complete answer. A retry may help. */
export class HttpFailure extends Error {
  readonly kind: FailureKind;

  constructor(message: string, kind: FailureKind, cause?: unknown) {
    super(message, { cause });
    this.name = "HttpFailure";
    this.kind = kind;
  }
}

/** Error codes of sockets that never connected. */
const UNREACHABLE = new Set(["ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ENETUNREACH", "EHOSTUNREACH", "ENETDOWN"]);

const MAX_REDIRECTS = 10;
/** A rest of up to this many bytes is read, to keep the connection. */
const MAX_DISCARDED = 64 * 1024;

/** Sends requests. Keeps connections until it is closed. */
export class HttpClient {
  readonly #options: HttpClientOptions;
  readonly #http: HttpAgent;
  readonly #https: HttpsAgent;

  constructor(options: HttpClientOptions) {
    this.#options = options;
    const { environment, connections } = options;
    const maxSockets = connections === 0 ? Number.POSITIVE_INFINITY : connections;
    const agentOptions = { keepAlive: true, maxSockets, maxFreeSockets: 64, proxyEnv: { ...environment } };
    const certificates = certificatesOf(environment);
    this.#http = new HttpAgent(agentOptions);
    this.#https = new HttpsAgent({ ...agentOptions, ...(certificates === null ? {} : { ca: certificates }) });
  }

  /**
   * Sends a request and follows redirects; an answer may have any status.
   * @throws HttpFailure, or the signal's reason
   */
  async send(request: HttpRequest, signal: AbortSignal | null): Promise<HttpResponse> {
    let current = request;
    for (let redirects = 0; ; redirects++) {
      const response = await this.#once(current, signal);
      const target = current.redirected === null ? null : redirectTarget(current, response);
      if (target === null) return response;
      response.discard();
      if (redirects === MAX_REDIRECTS) throw new HttpFailure(`more than ${MAX_REDIRECTS} redirects`, "brokenOff");
      current = { ...current, url: target, headers: current.redirected?.(target) ?? {} };
    }
  }

  close(): void {
    this.#http.destroy();
    this.#https.destroy();
  }

  #once(request: HttpRequest, signal: AbortSignal | null): Promise<HttpResponse> {
    const { clock, connectTimeoutMs, stallTimeoutMs, agent } = this.#options;
    const { url, method, body } = request;
    signal?.throwIfAborted();
    return new Promise((resolve, reject) => {
      const secure = url.protocol === "https:";
      const headers: Record<string, string> = { "user-agent": agent, ...request.headers };
      if (body !== null) headers["content-length"] = String(body.end - body.start);
      const outgoing = (secure ? httpsRequest : httpRequest)(url, {
        method,
        headers,
        agent: secure ? this.#https : this.#http,
        ...(signal === null ? {} : { signal }),
      });
      let answered = false;
      const watch: { dog: Watchdog | null } = { dog: null };
      let connecting: () => void = () => undefined;
      const fail = (error: unknown): void => {
        connecting();
        watch.dog?.stop();
        outgoing.destroy();
        if (signal?.aborted === true) reject(signal.reason);
        else if (error instanceof HttpFailure) reject(error);
        else reject(new HttpFailure(describe(error), kindOf(error, outgoing.reusedSocket), error));
      };
      outgoing.on("socket", (socket) => {
        // The request has a connection only from now on: waiting for a free one is not a stall.
        watch.dog = new Watchdog(clock, stallTimeoutMs, () => {
          outgoing.destroy(new HttpFailure(`no byte for ${stallTimeoutMs / 1000} seconds`, "brokenOff"));
        });
        if (!socket.connecting || connectTimeoutMs === 0) return;
        const late = new HttpFailure(`no connection within ${connectTimeoutMs / 1000} seconds`, "unreachable");
        connecting = clock.after(connectTimeoutMs, () => outgoing.destroy(late));
        socket.once(secure ? "secureConnect" : "connect", connecting);
      });
      outgoing.on("error", (error) => {
        if (!answered) fail(error);
      });
      outgoing.on("response", (incoming) => {
        answered = true;
        connecting();
        watch.dog?.touch();
        // A refusal before everything was sent: the rest is not sent, and the connection is useless.
        incoming.once("end", () => {
          if (!outgoing.writableEnded) outgoing.destroy();
        });
        resolve({
          status: incoming.statusCode ?? 0,
          headers: incoming.headers,
          body: readBody(incoming, watch.dog, signal),
          read: (maxBytes) => readWhole(incoming, maxBytes, watch.dog, signal),
          discard: () => discard(incoming, watch.dog),
        });
      });
      if (body === null) {
        outgoing.end();
        return;
      }
      if (body.upload.bytes !== null) {
        // Header and body are sent in one piece.
        outgoing.end(body.upload.bytes.subarray(body.start, body.end));
        return;
      }
      void (async () => {
        try {
          for await (const chunk of body.upload.read(body.start, body.end)) {
            // An early answer is a refusal: the rest need not be sent.
            if (answered || outgoing.destroyed) return;
            watch.dog?.touch();
            // The piece may be overwritten afterwards, so it must be sent first.
            await written(outgoing, chunk);
            watch.dog?.touch();
          }
          outgoing.end();
        } catch (error) {
          if (!answered) fail(error);
        }
      })();
    });
  }
}

/** Writes a piece and waits until the system has accepted it, or nothing more can be written. */
function written(outgoing: ReturnType<typeof httpRequest>, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      outgoing.off("close", done);
      resolve();
    };
    outgoing.once("close", done);
    outgoing.write(chunk, done);
  });
}

async function* readBody(
  incoming: IncomingMessage,
  watchdog: Watchdog | null,
  signal: AbortSignal | null,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for await (const chunk of incoming as AsyncIterable<Buffer>) {
      watchdog?.touch();
      yield chunk;
      // The server is not to blame for the reader's delay.
      watchdog?.touch();
    }
    if (!incoming.complete) throw new HttpFailure("the connection ended before everything had come", "brokenOff");
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof HttpFailure) throw error;
    throw new HttpFailure(describe(error), "brokenOff", error);
  } finally {
    watchdog?.stop();
    incoming.destroy();
  }
}

function readWhole(
  incoming: IncomingMessage,
  maxBytes: number,
  watchdog: Watchdog | null,
  signal: AbortSignal | null,
): Promise<Buffer | null> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const broken = (error: unknown): void => {
      watchdog?.stop();
      if (signal?.aborted === true) reject(signal.reason);
      else reject(error instanceof HttpFailure ? error : new HttpFailure(describe(error), "brokenOff", error));
    };
    incoming.on("error", broken);
    incoming.on("data", (chunk: Buffer) => {
      watchdog?.touch();
      size += chunk.length;
      chunks.push(chunk);
      if (size <= maxBytes) return;
      watchdog?.stop();
      resolve(null);
      incoming.destroy();
    });
    incoming.on("end", () => {
      watchdog?.stop();
      const [first] = chunks;
      resolve(chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks));
    });
    incoming.on("close", () => {
      if (!incoming.complete) broken(new HttpFailure("the connection ended before everything had come", "brokenOff"));
    });
  });
}

function discard(incoming: IncomingMessage, watchdog: Watchdog | null): void {
  let left = MAX_DISCARDED;
  incoming.on("error", () => undefined);
  incoming.on("data", (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) incoming.destroy();
  });
  incoming.on("close", () => watchdog?.stop());
}

function redirectTarget({ method, url }: HttpRequest, { status, headers }: HttpResponse): URL | null {
  const kept = status === 307 || status === 308;
  if (!kept && (status < 301 || status > 303 || (method !== "GET" && method !== "HEAD"))) return null;
  const { location } = headers;
  if (location === undefined || !URL.canParse(location, url.href)) return null;
  const target = new URL(location, url);
  // Never from a secure connection to an insecure one, nor to a file.
  if (target.protocol !== "https:" && target.protocol !== url.protocol) return null;
  return target;
}

function kindOf(error: unknown, reusedSocket: boolean): FailureKind {
  const one: unknown = error instanceof AggregateError ? error.errors[0] : error;
  const code = one instanceof Error && "code" in one ? String(one.code) : "";
  if (UNREACHABLE.has(code)) return "unreachable";
  return reusedSocket ? "stale" : "brokenOff";
}

/** Socket errors in words; when several addresses all failed, they come as one error without a message. */
function describe(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return messageOf(error.errors[0]);
  if (error instanceof Error && "code" in error && error.code === "ECONNRESET")
    return "the server closed the connection";
  return messageOf(error);
}

function certificatesOf(environment: Readonly<Record<string, string | undefined>>): string | null {
  for (const name of ["NIX_SSL_CERT_FILE", "SSL_CERT_FILE"]) {
    const file = environment[name];
    if (file === undefined || file === "") continue;
    try {
      return readFileSync(file, "utf8");
    } catch {
      // As with curl in Nix, a missing file leaves the system's own certificates.
    }
  }
  return null;
}
