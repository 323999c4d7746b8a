// A binary cache on an HTTP server (`http://`, `https://`): URLs and logins.
import { EngineError } from "../../../base/errors.ts";
import type { GetPutPort, Upload } from "../port.ts";
import type { HttpClient } from "./http-client.ts";
import { HttpObjects, type HttpObjectsOptions } from "./http-objects.ts";

export interface HttpCacheOptions extends Pick<HttpObjectsOptions, "clock" | "random" | "attempts" | "notice"> {
  /** `https://host/path`. */
  readonly uri: string;
  readonly client: HttpClient;
  /** The login for a host name, requested when first needed; null for none. */
  readonly login: (host: string) => Promise<{ readonly login: string; readonly password: string } | null>;
}

/** The objects below a URL. */
export class HttpCache implements GetPutPort {
  readonly uri: string;
  readonly remote = true;
  readonly spoolDirectory = null;
  readonly #client: HttpClient;
  readonly #objects: HttpObjects;

  constructor(options: HttpCacheOptions) {
    const { uri, client, login, clock, random, attempts, notice } = options;
    this.uri = uri;
    this.#client = client;
    this.#objects = new HttpObjects({
      uri,
      client,
      clock,
      random,
      attempts,
      notice,
      redirects: true,
      explain: () => null,
      authorise: async ({ url, headers }) => {
        const known = await login(url.hostname);
        if (known === null) return headers;
        const token = Buffer.from(`${known.login}:${known.password}`).toString("base64");
        return { ...headers, authorization: `Basic ${token}` };
      },
    });
  }

  get(key: string, signal: AbortSignal | null): Promise<AsyncIterable<Uint8Array> | null> {
    return this.#objects.get(this.#url(key), signal);
  }

  getSmall(key: string, maxBytes: number, signal: AbortSignal | null): Promise<Uint8Array | null> {
    return this.#objects.getSmall(this.#url(key), maxBytes, signal);
  }

  has(key: string, signal: AbortSignal | null): Promise<boolean> {
    return this.#objects.has(this.#url(key), signal);
  }

  async put(key: string, upload: Upload, contentType: string, signal: AbortSignal | null): Promise<void> {
    const body = { upload, start: 0, end: upload.size };
    const headers = { "content-type": contentType };
    await this.#objects.put({ method: "PUT", url: this.#url(key), headers, body }, signal);
  }

  async list(): Promise<null> {
    return null;
  }

  close(): void {
    this.#client.close();
  }

  /** A narinfo may give its NAR as a full URL. */
  #url(key: string): URL {
    const text = /^https?:\/\//i.test(key) ? key : `${this.uri.replace(/\/+$/, "")}/${key}`;
    if (!URL.canParse(text)) {
      throw new EngineError(
        "store",
        "CACHE_KEY_MALFORMED",
        `cache '${this.uri}': expected a URL, found '${key.slice(0, 300)}'`,
      );
    }
    return new URL(text);
  }
}
