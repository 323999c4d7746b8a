// A small S3 server of our own: checks every signature (AWS Signature Version 4) with its one secret, and has faults on demand.
import { createHash, createHmac } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Fault } from "./object-server.ts";

export interface FakeS3Options {
  /** Decides before every request; null lets it through. */
  readonly fault?: (method: string, path: string, count: number) => Fault | null;
  /** Milliseconds every answer takes longer. */
  readonly delayMs?: number;
  /** "us-east-1" when absent; a signature for another one is refused. */
  readonly region?: string;
  /** Whether requests without any signature are let through, as a public bucket lets them; a wrong signature never is. */
  readonly isPublic?: boolean;
  /** Must come with every request when given (`X-Amz-Security-Token`). */
  readonly sessionToken?: string;
}

export interface FakeS3 {
  readonly url: string;
  readonly port: number;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region: string;
  /** What a client needs in its environment. */
  readonly env: { readonly AWS_ACCESS_KEY_ID: string; readonly AWS_SECRET_ACCESS_KEY: string };
  /** Buckets that exist. Objects lie at `/BUCKET/KEY`. */
  readonly buckets: Set<string>;
  readonly objects: Map<string, { readonly body: Buffer; readonly contentType: string }>;
  /** `PUT /bucket/key`, as they came. */
  readonly requests: string[];
  /** Uploads in parts that were begun and neither finished nor given up. */
  readonly unfinished: () => number;
  readonly stop: () => Promise<void>;
  readonly [Symbol.asyncDispose]: () => Promise<void>;
}

/** Starts a server on loopback with one bucket, `cache`. */
export async function startFakeS3(options: FakeS3Options = {}): Promise<FakeS3> {
  const accessKeyId = "AKIDFORTESTS";
  const secretAccessKey = "secret/key+of=the-tests";
  const region = options.region ?? "us-east-1";
  const buckets = new Set(["cache"]);
  const objects: FakeS3["objects"] = new Map();
  const requests: string[] = [];
  const uploads = new Map<string, { key: string; contentType: string; parts: Map<number, Buffer> }>();
  let count = 0;

  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://localhost");
    const path = decodeURIComponent(url.pathname);
    const method = request.method ?? "";
    requests.push(`${method} ${path}${url.search}`);
    const fault = options.fault?.(method, path, requests.length) ?? null;
    if (fault?.type === "hang") return;
    if (fault?.type === "reset") {
      request.socket.resetAndDestroy();
      return;
    }
    const body = await bodyOf(request);
    if (options.delayMs !== undefined) await new Promise((resolve) => setTimeout(resolve, options.delayMs));
    if (fault?.type === "status") {
      response.writeHead(fault.status, fault.headers).end();
      return;
    }
    const refusal = refusalOf(request, url, body, {
      accessKeyId,
      secretAccessKey,
      region,
      sessionToken: options.sessionToken ?? null,
    });
    if (refusal !== null && !(options.isPublic === true && request.headers.authorization === undefined)) {
      fail(method, response, 403, refusal);
      return;
    }
    const [bucket = ""] = path.slice(1).split("/");
    if (!buckets.has(bucket)) {
      fail(method, response, 404, "NoSuchBucket");
      return;
    }
    switch (method) {
      case "GET":
      case "HEAD":
        if (url.searchParams.has("list-type")) list(bucket, url, response);
        else read(method, path, request.headers.range, response, fault);
        return;
      case "PUT":
        if (url.searchParams.has("uploadId")) putPart(url, body, response);
        else {
          objects.set(path, { body, contentType: request.headers["content-type"] ?? "" });
          response.writeHead(200, { etag: etagOf(body) }).end();
        }
        return;
      case "POST":
        if (url.searchParams.has("uploads")) {
          const id = `upload-${++count}`;
          uploads.set(id, { key: path, contentType: request.headers["content-type"] ?? "", parts: new Map() });
          response
            .writeHead(200)
            .end(`<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`);
        } else complete(url, body, response);
        return;
      case "DELETE":
        uploads.delete(url.searchParams.get("uploadId") ?? "");
        response.writeHead(204).end();
        return;
      default:
        fail(method, response, 405, "MethodNotAllowed");
    }
  }

  function read(
    method: string,
    path: string,
    range: string | undefined,
    response: ServerResponse,
    fault: Fault | null,
  ): void {
    const object = objects.get(path);
    if (object === undefined) {
      fail(method, response, 404, "NoSuchKey");
      return;
    }
    const start = Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1] ?? 0);
    const size = object.body.length;
    response.writeHead(range === undefined ? 200 : 206, {
      "content-length": size - start,
      "content-type": object.contentType,
      etag: etagOf(object.body),
      ...(range === undefined ? {} : { "content-range": `bytes ${start}-${size - 1}/${size}` }),
    });
    if (method === "HEAD") response.end();
    else if (fault?.type === "truncate") {
      response.write(object.body.subarray(start, start + fault.after), () => setTimeout(() => response.destroy(), 20));
    } else response.end(object.body.subarray(start));
  }

  /** Three keys an answer, so that there is always another page. */
  function list(bucket: string, url: URL, response: ServerResponse): void {
    const prefix = url.searchParams.get("prefix") ?? "";
    const after = url.searchParams.get("continuation-token") ?? "";
    const keys = [...objects.keys()]
      .filter((path) => path.startsWith(`/${bucket}/`))
      .map((path) => path.slice(bucket.length + 2))
      .filter((key) => key.startsWith(prefix) && !key.slice(prefix.length).includes("/") && key > after)
      .sort();
    const page = keys.slice(0, 3);
    const more = keys.length > page.length;
    const items = page.map((key) => `<Contents><Key>${key}</Key></Contents>`).join("");
    const next = more ? `<NextContinuationToken>${page.at(-1)}</NextContinuationToken>` : "";
    response
      .writeHead(200)
      .end(`<ListBucketResult><IsTruncated>${more}</IsTruncated>${items}${next}</ListBucketResult>`);
  }

  function putPart(url: URL, body: Buffer, response: ServerResponse): void {
    const upload = uploads.get(url.searchParams.get("uploadId") ?? "");
    if (upload === undefined) {
      fail("PUT", response, 404, "NoSuchUpload");
      return;
    }
    upload.parts.set(Number(url.searchParams.get("partNumber")), body);
    response.writeHead(200, { etag: etagOf(body) }).end();
  }

  function complete(url: URL, body: Buffer, response: ServerResponse): void {
    const id = url.searchParams.get("uploadId") ?? "";
    const upload = uploads.get(id);
    const named = [...body.toString().matchAll(/<PartNumber>(\d+)<\/PartNumber><ETag>([^<]*)<\/ETag>/g)];
    const parts = named.map(([, number]) => upload?.parts.get(Number(number)));
    const right = parts.every(
      (part, index) => part !== undefined && etagOf(part) === named[index]?.[2]?.replaceAll("&quot;", '"'),
    );
    if (upload === undefined || !right || parts.length === 0) {
      // As S3 does it: the status was sent before the end was known.
      response.writeHead(200).end("<Error><Code>InvalidPart</Code></Error>");
      return;
    }
    uploads.delete(id);
    objects.set(upload.key, { body: Buffer.concat(parts as Buffer[]), contentType: upload.contentType });
    response.writeHead(200).end("<CompleteMultipartUploadResult></CompleteMultipartUploadResult>");
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
    accessKeyId,
    secretAccessKey,
    region,
    env: { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
    buckets,
    objects,
    requests,
    unfinished: () => uploads.size,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function fail(method: string, response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { "content-type": "application/xml" });
  response.end(
    method === "HEAD" ? "" : `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`,
  );
}

interface Identity {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region: string;
  readonly sessionToken: string | null;
}

/** S3's code for what is wrong with a request's signature (AWS General Reference, Signature Version 4), null when it is right. */
function refusalOf(request: IncomingMessage, url: URL, body: Buffer, identity: Identity): string | null {
  const { authorization = "" } = request.headers;
  const header = (name: string): string => String(request.headers[name] ?? "");
  const fields =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(
      authorization,
    );
  if (fields === null) return "AccessDenied";
  const [, key, day = "", region = "", signedHeaders = "", signature] = fields;
  if (key !== identity.accessKeyId) return "InvalidAccessKeyId";
  if (region !== identity.region) return "AuthorizationHeaderMalformed";
  if (identity.sessionToken !== null && header("x-amz-security-token") !== identity.sessionToken) return "InvalidToken";
  const date = header("x-amz-date");
  const time = Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"));
  if (!(Math.abs(Date.now() - time) < 15 * 60 * 1000)) return "RequestTimeTooSkewed";
  const payload = header("x-amz-content-sha256");
  if (payload !== "UNSIGNED-PAYLOAD" && payload !== sha256(body)) return "XAmzContentSHA256Mismatch";
  const names = signedHeaders.split(";");
  if (!names.includes("host") || !names.includes("x-amz-date")) return "AccessDenied";
  const query = [...url.searchParams]
    .map(([name, value]) => `${uriEscape(name)}=${uriEscape(value)}`)
    .sort()
    .join("&");
  const canonical = [
    request.method,
    url.pathname
      .split("/")
      .map((part) => uriEscape(decodeURIComponent(part)))
      .join("/"),
    query,
    ...names.map((name) => `${name}:${header(name).trim().replace(/\s+/g, " ")}`),
    "",
    signedHeaders,
    payload,
  ].join("\n");
  const scope = `${day}/${region}/s3/aws4_request`;
  const text = ["AWS4-HMAC-SHA256", date, scope, sha256(canonical)].join("\n");
  const signing = ["aws4_request", "s3", region, day].reduceRight<Buffer>(
    (secret, part) => hmac(secret, part),
    Buffer.from(`AWS4${identity.secretAccessKey}`),
  );
  return hmac(signing, text).toString("hex") === signature ? null : "SignatureDoesNotMatch";
}

function uriEscape(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}

function sha256(bytes: Buffer | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function etagOf(body: Buffer): string {
  return `"${createHash("md5").update(body).digest("hex")}"`;
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}
