// Objects on an HTTP server, for `http(s)://` and `s3://`: the meaning of answers, when to retry, how to resume.

import { pipeline, Readable, type Transform } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from "node:zlib";
import type { Clock } from "../../../base/clock.ts";
import { EngineError, messageOf } from "../../../base/errors.ts";
import { stripAnsi } from "../../../protocols/ansi.ts";
import type { Upload } from "../port.ts";
import { type HttpClient, HttpFailure, type HttpRequest, type HttpResponse } from "./http-client.ts";
import { readBytes, tooLarge } from "./read-text.ts";
import { delay } from "./watchdog.ts";

/** A part of an upload: all of it, or the share of one request of several. */
export interface Part {
  readonly upload: Upload;
  readonly start: number;
  readonly end: number;
}

/** A request before its authorisation. */
export interface ObjectRequest {
  readonly method: HttpRequest["method"];
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Part | null;
}

export interface HttpObjectsOptions {
  /** As shown to the user. */
  readonly uri: string;
  readonly client: HttpClient;
  readonly clock: Clock;
  /** 0 ≤ x < 1; spreads the retries of many. */
  readonly random: () => number;
  /** Attempts per transfer, at least 1 (`download-attempts`). */
  readonly attempts: number;
  /** The headers of a request, with its authorisation; called anew for every attempt. */
  readonly authorise: (request: ObjectRequest) => Promise<Readonly<Record<string, string>>>;
  /** Whether to follow redirects; signed requests are valid for one host only. */
  readonly redirects: boolean;
  /** Why an answer is a failure although its status means "not found"; null when it is not. Receives up to 64 KiB of its body. */
  readonly explain: (status: number, body: string) => EngineError | null;
  readonly notice: (message: string) => void;
}

/** First wait (ms) between attempts, and after an answer that asks for patience; both double (Nix: `filetransfer.cc`). */
const FIRST_WAIT = 250;
const FIRST_PATIENT_WAIT = 5000;
/** Longest wait (ms) that a server may request. */
const LONGEST_WAIT = 60_000;
/** Attempts for an unreachable server. */
const UNREACHABLE_TRIES = 2;
const MAX_ERROR_BODY = 64 * 1024;

/** Statuses that mean "there is no such object": S3 answers 403 where listing is forbidden. */
const ABSENT = new Set([401, 403, 404, 407, 410]);

/** Reads and writes objects by URL. */
export class HttpObjects {
  readonly #options: HttpObjectsOptions;
  #saidUnauthorised = false;

  constructor(options: HttpObjectsOptions) {
    this.#options = options;
  }

  /** Whether an object exists. */
  async has(url: URL, signal: AbortSignal | null): Promise<boolean> {
    return this.#retrying(`look for '${show(url)}'`, signal, async () => {
      const response = await this.#send({ method: "HEAD", url, headers: {}, body: null }, signal);
      response.discard();
      return this.#isThere(response, "", url);
    });
  }

  /** The object's bytes, resuming where the connection broke off; null when it does not exist. */
  async get(url: URL, signal: AbortSignal | null): Promise<AsyncIterable<Uint8Array> | null> {
    const what = `download '${show(url)}'`;
    const first = await this.#retrying(what, signal, async () => {
      const response = await this.#send({ method: "GET", url, headers: {}, body: null }, signal);
      if (response.status === 200) return response;
      const body = await errorBody(response);
      this.#isThere(response, body, url);
      return null;
    });
    if (first === null) return null;
    return decode(this.#resuming(url, what, first, signal), first.headers["content-encoding"]);
  }

  /** The whole object, of at most `maxBytes`; null when it does not exist. Throws `CACHE_OBJECT_TOO_LARGE`. */
  async getSmall(url: URL, maxBytes: number, signal: AbortSignal | null): Promise<Uint8Array | null> {
    return this.#retrying(`download '${show(url)}'`, signal, async () => {
      const response = await this.#send({ method: "GET", url, headers: {}, body: null }, signal);
      if (response.status !== 200) {
        this.#isThere(response, await errorBody(response), url);
        return null;
      }
      const bytes = await response.read(maxBytes);
      if (bytes === null) throw tooLarge(show(url), maxBytes);
      const encoding = response.headers["content-encoding"];
      return encoding === undefined ? bytes : readBytes(decode(once(bytes), encoding), maxBytes, show(url));
    });
  }

  /** Sends part of an upload; returns the answer's headers. */
  async put(request: ObjectRequest, signal: AbortSignal | null): Promise<HttpResponse["headers"]> {
    return this.#retrying(`upload '${show(request.url)}'`, signal, async () => {
      const response = await this.#send(request, signal);
      const body = await errorBody(response);
      if (response.status >= 200 && response.status < 300) return response.headers;
      throw this.#refusal(response, body);
    });
  }

  /** Sends a request and returns its answer, a text of at most 16 MiB. */
  async ask(request: ObjectRequest, signal: AbortSignal | null): Promise<string> {
    return this.#retrying(`ask '${show(request.url)}'`, signal, async () => {
      const response = await this.#send(request, signal);
      if (response.status >= 200 && response.status < 300) {
        return (await readBytes(response.body, 16 * 1024 * 1024, show(request.url))).toString("utf8");
      }
      throw this.#refusal(response, await errorBody(response));
    });
  }

  async #send(request: ObjectRequest, signal: AbortSignal | null): Promise<HttpResponse> {
    const { client, authorise, redirects } = this.#options;
    const headers = await authorise(request);
    // Another host must not receive the password for this one.
    const redirected = (target: URL): Readonly<Record<string, string>> =>
      target.host === request.url.host ? headers : request.headers;
    return client.send({ ...request, headers, redirected: redirects ? redirected : null }, signal);
  }

  /** Interprets the status of the answer to a read. Throws what should be retried or reported. */
  #isThere(response: HttpResponse, body: string, url: URL): boolean {
    const { status } = response;
    if (status >= 200 && status < 300) return true;
    const explained = this.#options.explain(status, body);
    if (explained !== null) throw explained;
    if (!ABSENT.has(status)) throw this.#refusal(response, body);
    if ((status === 401 || status === 407) && !this.#saidUnauthorised) {
      this.#saidUnauthorised = true;
      this.#options.notice(
        `'${show(url)}': the server wants to know who asks (${status}); give user and password in the netrc-file`,
      );
    }
    return false;
  }

  #refusal({ status, headers }: HttpResponse, body: string): Error {
    const explained = this.#options.explain(status, body);
    if (explained !== null) return explained;
    const said = stripAnsi(body)
      .replace(/<[^>]*>/g, " ")
      .replace(/[\s\p{Cc}]+/gu, " ")
      .trim()
      .slice(0, 200);
    const words = `HTTP error ${status}${said === "" ? "" : ` ('${said}')`}`;
    const asked = Number(headers["retry-after"]);
    const patient = status === 429 || status === 503;
    const askedMs = Number.isFinite(asked) && asked > 0 ? Math.min(asked * 1000, LONGEST_WAIT) : null;
    const waitMs = patient ? (askedMs ?? (status === 429 ? FIRST_PATIENT_WAIT : null)) : null;
    return new Refusal(words, isTransient(status), waitMs, status);
  }

  /** The body of `first`; after a failure in the middle, requests the rest. */
  async *#resuming(
    url: URL,
    what: string,
    first: HttpResponse,
    signal: AbortSignal | null,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const { etag } = first.headers;
    const plain = first.headers["content-encoding"] === undefined;
    let response = first;
    let skip = 0;
    let done = 0;
    for (let attempt = 1; ; ) {
      try {
        for await (const chunk of response.body) {
          const wanted = skip >= chunk.length ? chunk.subarray(chunk.length) : chunk.subarray(skip);
          skip -= Math.min(skip, chunk.length);
          if (wanted.length === 0) continue;
          done += wanted.length;
          yield wanted;
        }
        return;
      } catch (error) {
        if (!(error instanceof HttpFailure) || !plain) throw this.#final(what, error);
        attempt = await this.#pause(what, error, attempt, signal);
      }
      const range = { range: `bytes=${done}-`, ...(etag?.startsWith('"') ? { "if-range": etag } : {}) };
      response = await this.#retrying(what, signal, async () => {
        const again = await this.#send({ method: "GET", url, headers: done === 0 ? {} : range, body: null }, signal);
        if (again.status === 200 || again.status === 206) return again;
        throw this.#refusal(again, await errorBody(again));
      });
      skip = response.status === 200 ? done : skipOf(response, done);
    }
  }

  /** Tries until it succeeds, the attempts are used up, or a retry is useless. */
  async #retrying<T>(what: string, signal: AbortSignal | null, task: () => Promise<T>): Promise<T> {
    let staleTries = 0;
    for (let attempt = 1; ; ) {
      try {
        return await task();
      } catch (error) {
        signal?.throwIfAborted();
        if (error instanceof HttpFailure && error.kind === "stale" && staleTries++ < 100) continue;
        attempt = await this.#pause(what, error, attempt, signal);
      }
    }
  }

  /** Waits before the next attempt and returns its number; throws when there is none. */
  async #pause(what: string, error: unknown, attempt: number, signal: AbortSignal | null): Promise<number> {
    const { clock, random, attempts, notice } = this.#options;
    const transient = error instanceof HttpFailure || (error instanceof Refusal && error.transient);
    // An unreachable server will hardly be reachable in a second, and a user without network should not wait for it.
    const tries =
      error instanceof HttpFailure && error.kind === "unreachable" ? Math.min(attempts, UNREACHABLE_TRIES) : attempts;
    if (!transient || attempt >= tries) throw this.#final(what, error);
    const asked = error instanceof Refusal ? error.waitMs : null;
    const wait = asked ?? FIRST_WAIT * 2 ** (attempt - 1 + random() * 0.5);
    notice(`unable to ${what}: ${messageOf(error)}; retrying in ${Math.round(wait)} ms`);
    await delay(clock, wait, signal);
    return attempt + 1;
  }

  #final(what: string, error: unknown): unknown {
    if (error instanceof HttpFailure) {
      return new EngineError("transport", "CACHE_UNREACHABLE", `unable to ${what}: ${error.message}`, {
        hint: `check that '${this.#options.uri}' can be reached from here`,
        cause: error,
      });
    }
    if (error instanceof Refusal) {
      const forbidden = error.status === 401 || error.status === 403;
      return new EngineError("store", "CACHE_REFUSED", `unable to ${what}: ${error.message}`, {
        hint: forbidden ? "check the credentials, and that they allow this" : "the server's own log may say more",
        cause: error,
      });
    }
    return error;
  }
}

/** An answer other than success. */
class Refusal extends Error {
  readonly transient: boolean;
  readonly waitMs: number | null;
  readonly status: number;

  constructor(message: string, transient: boolean, waitMs: number | null, status: number) {
    super(message);
    this.transient = transient;
    this.waitMs = waitMs;
    this.status = status;
  }
}

/** As in Nix: client errors are final except "too slow" and "too often"; server errors are not, except "cannot do that". */
function isTransient(status: number): boolean {
  if (status >= 400 && status < 500) return status === 408 || status === 429;
  return status !== 501 && status !== 505 && status !== 511;
}

/** How many bytes to skip at the start of a partial answer. Throws when it begins after the bytes we have. */
function skipOf(response: HttpResponse, done: number): number {
  const start = Number(/^bytes (\d+)-/.exec(response.headers["content-range"] ?? "")?.[1] ?? Number.NaN);
  if (start <= done) return done - start;
  response.discard();
  throw new EngineError(
    "store",
    "CACHE_BAD_RANGE",
    `expected a part from byte ${done}, found '${response.headers["content-range"]}'`,
  );
}

/** The body of an answer whose status already tells; only its beginning matters. */
async function errorBody(response: HttpResponse): Promise<string> {
  return (await response.read(MAX_ERROR_BODY))?.toString("utf8") ?? "";
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}

/** A URL without user, password and query. */
export function show(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`;
}

function decode(stream: AsyncIterable<Uint8Array>, encoding: string | undefined): AsyncIterable<Uint8Array> {
  const transform = decoder(encoding);
  if (transform === null) return stream;
  pipeline(Readable.from(stream), transform, () => undefined);
  return transform as AsyncIterable<Buffer>;
}

function decoder(encoding: string | undefined): Transform | null {
  switch (encoding?.trim().toLowerCase()) {
    case "gzip":
    case "x-gzip":
      return createGunzip();
    case "br":
      return createBrotliDecompress();
    case "zstd":
      return createZstdDecompress();
    case "deflate":
      return createInflate();
    default:
      return null;
  }
}
