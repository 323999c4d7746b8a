// A binary cache in an S3 bucket (`s3://bucket`): the bucket's URL, requests signed with AWS Signature Version 4, large files in parts.

import { EngineError } from "../../../base/errors.ts";
import type { CacheReference } from "../../../config/store-reference.ts";
import { hashBytes } from "../../../formats/hash.ts";
import { type GetPutPort, type Upload, uploadOf } from "../port.ts";
import { type AwsCredentials, type AwsWorld, findCredentials, findRegion, systemAwsWorld } from "./aws-profile.ts";
import type { HttpClient } from "./http-client.ts";
import { HttpObjects, type HttpObjectsOptions, type ObjectRequest } from "./http-objects.ts";
import { mapLimited } from "./limiter.ts";

export interface OpenS3Options extends Pick<HttpObjectsOptions, "uri" | "clock" | "random" | "attempts" | "notice"> {
  readonly reference: CacheReference;
  readonly client: HttpClient;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Uploads above this size (bytes) are sent in parts, each retried on its own. */
const MULTIPART_FROM = 64 * 1024 * 1024;
const PART_SIZE = 16 * 1024 * 1024;
/** S3 accepts 10,000 parts. */
const MOST_PARTS = 9_000;
const PARTS_AT_ONCE = 4;
/** Credentials are renewed this long (ms) before they expire. */
const EXPIRY_MARGIN = 60_000;
const UNSIGNED = "UNSIGNED-PAYLOAD";
const DEFAULT_REGION = "us-east-1";

/** Error codes for wrong credentials, as opposed to a missing object. */
const BAD_IDENTITY = new Set([
  "InvalidAccessKeyId",
  "SignatureDoesNotMatch",
  "ExpiredToken",
  "InvalidToken",
  "TokenRefreshRequired",
  "RequestTimeTooSkewed",
  "AuthorizationHeaderMalformed",
]);

/** Opens a bucket. @throws EngineError `S3_BAD_PARAMETER` */
export function openS3(options: OpenS3Options): S3Objects {
  return new S3Objects(options, systemAwsWorld(options.environment));
}

/** The objects of a bucket, or of a folder in it. */
export class S3Objects implements GetPutPort {
  readonly uri: string;
  readonly remote = true;
  readonly spoolDirectory = null;
  readonly #options: OpenS3Options;
  readonly #world: AwsWorld;
  readonly #objects: HttpObjects;
  readonly #base: URL;
  readonly #region: string;
  #credentials: Promise<AwsCredentials | null> | null = null;

  constructor(options: OpenS3Options, world: AwsWorld) {
    this.#options = options;
    this.#world = world;
    this.uri = options.uri;
    const { parameters, location } = options.reference;
    this.#region = parameters.region ?? findRegion(parameters.profile, world) ?? DEFAULT_REGION;
    this.#base = baseUrl(location, parameters, this.#region);
    this.#objects = new HttpObjects({
      ...options,
      redirects: false,
      authorise: (request) => this.#authorise(request),
      explain: (status, body) => this.#explain(status, body),
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
    const url = this.#url(key);
    const { storageClass } = this.#options.reference.parameters;
    const headers = {
      "content-type": contentType,
      ...(storageClass === null ? {} : { "x-amz-storage-class": storageClass }),
    };
    if (upload.size > MULTIPART_FROM) {
      await this.#putInParts(url, upload, headers, signal);
      return;
    }
    const body = { upload, start: 0, end: upload.size };
    await this.#objects.put({ method: "PUT", url, headers, body }, signal);
  }

  async list(signal: AbortSignal | null): Promise<AsyncIterable<string>> {
    return this.#list(signal);
  }

  async *#list(signal: AbortSignal | null): AsyncGenerator<string, void, undefined> {
    const [bucket, prefix] = this.#bucketAndPrefix();
    let token: string | null = null;
    do {
      const url = new URL(bucket);
      url.searchParams.set("list-type", "2");
      url.searchParams.set("delimiter", "/");
      if (prefix !== "") url.searchParams.set("prefix", prefix);
      if (token !== null) url.searchParams.set("continuation-token", token);
      const text: string = await this.#objects.ask({ method: "GET", url, headers: {}, body: null }, signal);
      for (const [, key = ""] of text.matchAll(/<Key>([^<]*)<\/Key>/g)) yield unescapeXml(key).slice(prefix.length);
      token = /<IsTruncated>true/.test(text) ? unescapeXml(tagOf(text, "NextContinuationToken") ?? "") || null : null;
    } while (token !== null);
  }

  close(): void {
    this.#options.client.close();
  }

  /** The bucket's URL and the prefix of every key. */
  #bucketAndPrefix(): [bucket: URL, prefix: string] {
    const [bucketName = "", ...folder] = this.#options.reference.location.split("/");
    const bucket = new URL(this.#base);
    bucket.pathname = isVirtual(this.#base, bucketName) ? "/" : `/${bucketName}`;
    return [bucket, folder.length === 0 ? "" : `${folder.join("/")}/`];
  }

  async #putInParts(
    url: URL,
    upload: Upload,
    headers: Record<string, string>,
    signal: AbortSignal | null,
  ): Promise<void> {
    const start = new URL(url);
    start.searchParams.set("uploads", "");
    const answer = await this.#objects.ask({ method: "POST", url: start, headers, body: emptyBody() }, signal);
    const uploadId = tagOf(answer, "UploadId");
    if (uploadId === null) throw this.#misbehaved("an UploadId", answer);
    const partUrl = (number: number | null): URL => {
      const part = new URL(url);
      if (number !== null) part.searchParams.set("partNumber", String(number));
      part.searchParams.set("uploadId", unescapeXml(uploadId));
      return part;
    };
    try {
      const size = Math.max(PART_SIZE, Math.ceil(upload.size / MOST_PARTS));
      const starts = Array.from({ length: Math.ceil(upload.size / size) }, (_, index) => index * size);
      const etags = await mapLimited(starts, PARTS_AT_ONCE, async (at) => {
        const body = { upload, start: at, end: Math.min(at + size, upload.size) };
        const sent = await this.#objects.put({ method: "PUT", url: partUrl(at / size + 1), headers: {}, body }, signal);
        if (sent.etag === undefined) throw this.#misbehaved("an ETag", "");
        return sent.etag;
      });
      const list = etags.map(
        (etag, index) => `<Part><PartNumber>${index + 1}</PartNumber><ETag>${escapeXml(etag)}</ETag></Part>`,
      );
      const text = Buffer.from(`<CompleteMultipartUpload>${list.join("")}</CompleteMultipartUpload>`);
      const done = uploadOf(text, hashBytes("sha256", text).digest);
      const body = { upload: done, start: 0, end: done.size };
      const end = await this.#objects.ask({ method: "POST", url: partUrl(null), headers: {}, body }, signal);
      // The answer begins before its outcome is known, so its status is always success.
      if (/<Error>/.test(end)) throw this.#misbehaved("the parts to be joined", end);
    } catch (error) {
      // Abandoned parts cost money.
      await this.#objects
        .put({ method: "DELETE", url: partUrl(null), headers: {}, body: null }, null)
        .catch(() => undefined);
      throw error;
    }
  }

  async #authorise(request: ObjectRequest): Promise<Record<string, string>> {
    const headers: Record<string, string> = { ...request.headers };
    const credentials = await this.#currentCredentials();
    if (credentials === null) return headers;
    const { body } = request;
    const whole = body !== null && body.start === 0 && body.end === body.upload.size;
    headers["x-amz-content-sha256"] = whole ? Buffer.from(body.upload.sha256).toString("hex") : UNSIGNED;
    // Loaded only when needed: it also loads Node's fetch.
    const { AwsV4Signer } = await import("aws4fetch");
    const signer = new AwsV4Signer({
      method: request.method,
      url: request.url.href,
      headers,
      accessKeyId: credentials.accessKeyId,
      secretAccessKey: credentials.secretAccessKey,
      ...(credentials.sessionToken === null ? {} : { sessionToken: credentials.sessionToken }),
      service: "s3",
      region: this.#region,
      datetime: new Date(this.#options.clock.wallTime()).toISOString().replace(/[:-]|\.\d{3}/g, ""),
    });
    const signedRequest = await signer.sign();
    for (const [name, value] of signedRequest.headers) headers[name] = value;
    return headers;
  }

  #currentCredentials(): Promise<AwsCredentials | null> {
    const { clock, reference } = this.#options;
    this.#credentials ??= findCredentials(reference.parameters.profile, this.#world).then((found) => {
      if (found?.expiresAt != null) {
        const left = found.expiresAt - clock.wallTime() - EXPIRY_MARGIN;
        // Renewed when next needed, not by a timer that would keep the program running.
        this.#expiry = clock.now() + Math.max(0, left);
      }
      return found;
    });
    if (this.#expiry !== null && clock.now() >= this.#expiry) {
      this.#expiry = null;
      this.#credentials = null;
      return this.#currentCredentials();
    }
    return this.#credentials;
  }

  #expiry: number | null = null;

  #explain(status: number, body: string): EngineError | null {
    const code = tagOf(body, "Code");
    if (code === null) return null;
    if (BAD_IDENTITY.has(code)) {
      return new EngineError(
        "store",
        "S3_BAD_CREDENTIALS",
        `'${this.uri}': the server refuses the credentials: ${code} (${status})`,
        {
          hint: "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or profile=, region= and this machine's clock",
        },
      );
    }
    if (code === "NoSuchBucket") {
      return new EngineError("store", "S3_NO_BUCKET", `'${this.uri}': there is no such bucket`, {
        hint: "check its name, region= and endpoint=",
      });
    }
    if (code === "PermanentRedirect" || status === 301) {
      return new EngineError(
        "store",
        "S3_OTHER_REGION",
        `'${this.uri}': the bucket is in another region than '${this.#region}'`,
        {
          hint: "give its region: s3://BUCKET?region=REGION",
        },
      );
    }
    return null;
  }

  #misbehaved(expected: string, answer: string): EngineError {
    const code = tagOf(answer, "Code") ?? "something else";
    return new EngineError("store", "S3_BAD_ANSWER", `'${this.uri}': expected ${expected}, found ${code}`);
  }

  #url(key: string): URL {
    const url = new URL(this.#base);
    url.pathname += key.split("/").map(encodeURIComponent).join("/");
    return url;
  }
}

/** The URL that precedes every key; ends with `/`. */
function baseUrl(location: string, parameters: CacheReference["parameters"], region: string): URL {
  const [bucket = "", ...folder] = location.split("/");
  const { endpoint, scheme, addressingStyle } = parameters;
  const prefix = folder.map((part) => `${encodeURIComponent(part)}/`).join("");
  if (addressingStyle !== null && !["auto", "path", "virtual"].includes(addressingStyle)) {
    throw badParameter("addressing-style", "auto, path or virtual", addressingStyle);
  }
  if (scheme !== null && scheme !== "http" && scheme !== "https") throw badParameter("scheme", "http or https", scheme);
  const host = endpoint ?? `s3.${region}.amazonaws.com`;
  const text = /^https?:\/\//.test(host) ? host : `${scheme ?? "https"}://${host}`;
  if (!URL.canParse(text)) throw badParameter("endpoint", "HOST[:PORT]", host);
  const url = new URL(text);
  // A bucket name with dots does not match the server's certificate, and other servers rarely have a host name per bucket.
  const virtual =
    addressingStyle === "virtual" || (addressingStyle !== "path" && endpoint === null && !bucket.includes("."));
  if (virtual) url.host = `${bucket}.${url.host}`;
  url.pathname = `${url.pathname.replace(/\/+$/, "")}/${virtual ? "" : `${encodeURIComponent(bucket)}/`}${prefix}`;
  return url;
}

function isVirtual(base: URL, bucket: string): boolean {
  return base.host.startsWith(`${bucket}.`);
}

function badParameter(name: string, expected: string, found: string): EngineError {
  return new EngineError(
    "config",
    "S3_BAD_PARAMETER",
    `store parameter '${name}': expected ${expected}, found '${found.slice(0, 100)}'`,
  );
}

function emptyBody(): ObjectRequest["body"] {
  const upload = uploadOf(new Uint8Array(0), hashBytes("sha256", "").digest);
  return { upload, start: 0, end: 0 };
}

function tagOf(text: string, name: string): string | null {
  return new RegExp(`<${name}>([^<]*)</${name}>`).exec(text)?.[1] ?? null;
}

function escapeXml(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/"/g, "&quot;");
}

function unescapeXml(text: string): string {
  const names: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };
  return text.replace(/&(amp|lt|gt|quot|apos);/g, (_, name: string) => names[name] ?? "");
}
