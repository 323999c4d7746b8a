// `builtin:fetchurl`: the one builtin builder, which downloads a file (Nix: builtins/fetchurl.cc).
import { chmodSync, createReadStream, createWriteStream } from "node:fs";
import { Agent as HttpAgent, get as httpGet, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, get as httpsGet } from "node:https";
import { pipeline } from "node:stream/promises";
import { EngineError, messageOf } from "../../../base/errors.ts";
import type { BasicDerivation } from "../../../derivation/derivation.ts";
import { type ByteString, textOf } from "../../../formats/byte-string.ts";
import { parseHash, printHash } from "../../../formats/hash.ts";
import { restorePath } from "../files/restore.ts";
import { fileBehind } from "./file-address.ts";

const MAX_REDIRECTS = 20;
/** Attempts per address (`download-attempts`), and the pause (milliseconds) before the second; it doubles. */
const ATTEMPTS = 5;
const FIRST_PAUSE = 250;
/** Milliseconds without a byte (`stalled-download-timeout`). */
const STALLED = 300_000;

export interface FetchContext {
  /** Where to put the output on disk. */
  readonly target: string;
  readonly hashedMirrors: readonly string[];
  /** A `file://` address must be below one of these (`sandbox-paths`). */
  readonly sandboxPaths: readonly string[];
  /** Proxy settings (`http_proxy` and so on). */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Receives the progress, as log lines. */
  readonly log: (line: string) => void;
  readonly pause: (milliseconds: number) => Promise<void>;
}

/** `again`: whether a retry of the same address can help. */
class DownloadError extends Error {
  readonly again: boolean;

  constructor(message: string, again: boolean) {
    super(message);
    this.again = again;
  }
}

/**
 * Downloads the derivation's URL. Certificates are not checked, since the hash of the result is.
 * @throws EngineError `FETCHURL_FAILED`; the signal's reason.
 */
export async function fetchUrl(derivation: BasicDerivation, context: FetchContext, signal: AbortSignal): Promise<void> {
  const attribute = (name: string): string => {
    const value = derivation.env.get(name as ByteString);
    if (value === undefined) throw failed(`attribute '${name}' missing`);
    return textOf(value);
  };
  const flag = (name: string): boolean => derivation.env.get(name as ByteString) === "1";
  const url = attribute("url");
  const unpack = flag("unpack");
  if (unpack && url.endsWith(".xz")) throw failed(`'${url}': packed archives are not supported by this builtin here`);
  const addresses = [url];
  if (attribute("outputHashMode") === "flat") {
    const output = derivation.outputs.get("out");
    if (output?.type === "fixed") {
      const hash = parseHash(output.hash, output.algorithm);
      const name = `${hash.algorithm}/${printHash(hash, "hex", false)}`;
      addresses.unshift(...context.hashedMirrors.map((mirror) => `${mirror.replace(/\/*$/, "/")}${name}`));
    }
  }
  for (const [index, address] of addresses.entries()) {
    try {
      await fetchOne(address, unpack, context, signal);
      break;
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (index < addresses.length - 1) continue;
      context.log(`error: ${messageOf(error)}`);
      throw failed(messageOf(error), error);
    }
  }
  if (flag("executable")) chmodSync(context.target, 0o755);
}

async function fetchOne(address: string, unpack: boolean, context: FetchContext, signal: AbortSignal): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      const body = address.startsWith("file:")
        ? createReadStream(allowedFile(address, context))
        : await open(new URL(address), context, signal);
      if (unpack) await restorePath(body as AsyncIterable<Uint8Array>, context.target);
      else await pipeline(body, createWriteStream(context.target, { mode: 0o644 }), { signal });
      return;
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      const again = error instanceof DownloadError ? error.again : !address.startsWith("file:") && !unpack;
      if (!again || attempt >= ATTEMPTS)
        throw new DownloadError(`unable to download '${address}': ${messageOf(error)}`, false);
      const pause = FIRST_PAUSE * 2 ** (attempt - 1);
      context.log(`warning: unable to download '${address}': ${messageOf(error)}; retrying in ${pause} ms`);
      await context.pause(pause);
    }
  }
}

/** The file of an address; throws if reading it is not allowed. */
function allowedFile(address: string, { sandboxPaths }: FetchContext): string {
  const answer = fileBehind(address, sandboxPaths);
  if (answer.type === "refused") throw new DownloadError(answer.reason, false);
  return answer.path;
}

/** The body at an address after following redirects, which may lead only to http and https. */
async function open(address: URL, context: FetchContext, signal: AbortSignal): Promise<IncomingMessage> {
  let url = address;
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    const response = await request(url, context, signal);
    const status = response.statusCode ?? 0;
    const location = response.headers.location;
    if (status >= 300 && status < 400 && location !== undefined) {
      response.resume();
      url = new URL(location, url);
      continue;
    }
    if (status === 200) return response;
    response.resume();
    // Nix's transfers retry these too: timeouts, too many requests, and server errors.
    throw new DownloadError(
      `HTTP error ${status}`,
      status === 408 || status === 429 || (status >= 500 && status !== 501),
    );
  }
  throw new DownloadError(`more than ${MAX_REDIRECTS} redirects`, false);
}

function request(url: URL, context: FetchContext, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const proxyEnv = { ...context.environment } as NodeJS.ProcessEnv;
    const options = { signal, timeout: STALLED, headers: { "user-agent": "tsbuild-top", accept: "*/*" } };
    const started =
      url.protocol === "https:"
        ? httpsGet(url, { ...options, rejectUnauthorized: false, agent: new HttpsAgent({ proxyEnv }) }, resolve)
        : url.protocol === "http:"
          ? httpGet(url, { ...options, agent: new HttpAgent({ proxyEnv }) }, resolve)
          : null;
    if (started === null) {
      reject(new DownloadError(`expected http:// or https://, found '${url.protocol}'`, false));
      return;
    }
    started.once("timeout", () => started.destroy(new DownloadError("no data for five minutes", true)));
    started.once("error", (error) => {
      reject(error instanceof DownloadError ? error : new DownloadError(messageOf(error), true));
    });
  });
}

function failed(message: string, cause?: unknown): EngineError {
  return new EngineError("build", "FETCHURL_FAILED", message, { cause });
}
