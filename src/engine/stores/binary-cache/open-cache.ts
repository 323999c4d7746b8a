// From a cache's reference and the settings to an open store.
import { tmpdir } from "node:os";
import type { Clock } from "../../base/clock.ts";
import { readTextFile } from "../../config/load.ts";
import type { Settings } from "../../config/settings.ts";
import type { CacheReference } from "../../config/store-reference.ts";
import { printStoreReference } from "../../config/store-reference.ts";
import type { SecretKey } from "../../formats/signature.ts";
import { CacheStore, writingCompression } from "./cache-store.ts";
import type { DiskCache } from "./disk-cache.ts";
import { FileObjects } from "./objects/file.ts";
import { HttpCache } from "./objects/http.ts";
import { HttpClient } from "./objects/http-client.ts";
import { findLogin } from "./objects/netrc.ts";
import { openS3 } from "./objects/s3.ts";
import type { GetPutPort } from "./port.ts";
import { readSecretKeyFile } from "./sign.ts";

export interface OpenCacheOptions {
  readonly reference: CacheReference;
  readonly settings: Settings;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  readonly notice: (message: string) => void;
  readonly diskCache: DiskCache | null;
}

/** Concurrent paths when the number of connections is not limited. */
const PARALLEL = 64;

/** Opens a cache without sending a request. @throws EngineError of family `config` for bad parameters and keys */
export function openCache(options: OpenCacheOptions): CacheStore {
  const { reference, settings, environment, clock, diskCache } = options;
  const { parameters } = reference;
  const compression = writingCompression(parameters.compression);
  const secretKeys = secretKeysOf(parameters.secretKey, parameters.secretKeys);
  const port = openPort(options);
  return new CacheStore({
    port,
    clock,
    diskCache: port.remote ? diskCache : null,
    parallel: settings.httpConnections === 0 ? PARALLEL : settings.httpConnections,
    compression,
    level:
      parameters.compressionLevel !== null && parameters.compressionLevel >= 0 ? parameters.compressionLevel : null,
    parallelCompression: parameters.parallelCompression,
    secretKeys,
    listings: parameters.writeNarListing,
    temporaryDirectory: environment.TMPDIR ?? tmpdir(),
  });
}

function openPort(options: OpenCacheOptions): GetPutPort {
  const { reference, settings, environment, clock, random, notice } = options;
  const uri = printStoreReference(reference);
  if (reference.scheme === "file") return new FileObjects(reference.location, uri);
  const client = new HttpClient({
    clock,
    connectTimeoutMs: settings.connectTimeout * 1000,
    stallTimeoutMs: settings.stalledDownloadTimeout * 1000,
    connections: settings.httpConnections,
    environment,
    agent: "tsbuild-top",
  });
  const common = { uri, client, clock, random, attempts: Math.max(1, settings.downloadAttempts), notice };
  if (reference.scheme === "s3") return openS3({ ...common, reference, environment });
  return new HttpCache({ ...common, login: loginReader(reference, settings.netrcFile) });
}

/** The login: from the URL, else from the netrc file, which is read when first needed. */
function loginReader({ credentials, location }: CacheReference, netrcFile: string) {
  let text: string | null = null;
  const [authority = ""] = location.split("/");
  return async (host: string) => {
    // A narinfo may lead to another host, which must not receive this one's password.
    const isOurs = host === authority.replace(/:\d+$/, "");
    if (credentials !== null && isOurs) return { login: credentials.user, password: credentials.password };
    if (text === null) {
      const file = readTextFile(netrcFile);
      text = file.type === "text" ? file.text : "";
    }
    return findLogin(text, host);
  };
}

function secretKeysOf(one: string | null, more: string | null): SecretKey[] {
  const files = [...(one === null ? [] : [one]), ...(more ?? "").split(",").filter((file) => file !== "")];
  return files.map(readSecretKeyFile);
}
