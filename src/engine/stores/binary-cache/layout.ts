// The keys in a binary cache and the contents of its small files (Nix manual, binary caches; `BinaryCacheStore`).
import { EngineError } from "../../base/errors.ts";
import { encodeNix32 } from "../../formats/nix32.ts";
import { baseNameOf, hashPartOf, STORE_DIR, type StorePath } from "../../formats/store-path.ts";
import type { Compression } from "./nars/compression.ts";

export const CACHE_INFO_KEY = "nix-cache-info";

/** Content types as Nix sends them. */
export const CONTENT_TYPES = {
  cacheInfo: "text/x-nix-cache-info",
  narInfo: "text/x-nix-narinfo",
  nar: "application/x-nix-nar",
  listing: "application/json",
  log: "text/plain; charset=utf-8",
} as const;

/** Maximum size of `nix-cache-info`, in bytes. */
export const MAX_CACHE_INFO_BYTES = 64 * 1024;

const ENDINGS: Readonly<Record<Compression, string>> = {
  none: "",
  xz: ".xz",
  bzip2: ".bz2",
  zstd: ".zst",
  gzip: ".gz",
  br: ".br",
};

export function narInfoKey(path: StorePath): string {
  return `${hashPartOf(path)}.narinfo`;
}

/** The key that Nix's `write-nar-listing` writes to. */
export function listingKey(path: StorePath): string {
  return `${hashPartOf(path)}.ls`;
}

/** @param fileHash SHA-256 of the compressed file */
export function narKey(fileHash: Uint8Array, compression: Compression): string {
  return `nar/${encodeNix32(fileHash)}.nar${ENDINGS[compression]}`;
}

export function logKey(drvPath: StorePath): string {
  return `log/${baseNameOf(drvPath)}`;
}

/** A cache's description of itself. */
export interface CacheInfo {
  readonly storeDir: string;
  /** Whether it accepts queries for many paths at once. */
  readonly wantMassQuery: boolean;
  /** Lower ones are queried first; null when the file has none. */
  readonly priority: number | null;
}

/** What Nix writes when it creates a cache. */
export const NEW_CACHE_INFO: CacheInfo = { storeDir: STORE_DIR, wantMassQuery: false, priority: null };

/**
 * Parses `nix-cache-info`; unknown fields are ignored.
 * @throws EngineError `CACHE_OTHER_STORE_DIR` for a cache of another store directory, in Nix's words
 */
export function parseCacheInfo(text: string, uri: string): CacheInfo {
  let info: CacheInfo = { ...NEW_CACHE_INFO };
  for (const line of text.split("\n")) {
    const colon = line.indexOf(":");
    if (colon < 0) continue;
    const value = line.slice(colon + 1).trim();
    switch (line.slice(0, colon)) {
      case "StoreDir":
        info = { ...info, storeDir: value };
        break;
      case "WantMassQuery":
        info = { ...info, wantMassQuery: value === "1" };
        break;
      case "Priority":
        if (/^-?\d{1,9}$/.test(value)) info = { ...info, priority: Number(value) };
        break;
    }
  }
  if (info.storeDir !== STORE_DIR) {
    throw new EngineError(
      "store",
      "CACHE_OTHER_STORE_DIR",
      `binary cache '${uri}' is for Nix stores with prefix '${info.storeDir.slice(0, 200)}', not '${STORE_DIR}'`,
      { hint: "paths of another store directory cannot be used; leave this cache out" },
    );
  }
  return info;
}

export function printCacheInfo({ storeDir, wantMassQuery, priority }: CacheInfo): string {
  const lines = [`StoreDir: ${storeDir}`];
  if (wantMassQuery) lines.push("WantMassQuery: 1");
  if (priority !== null) lines.push(`Priority: ${priority}`);
  return `${lines.join("\n")}\n`;
}
