// `verify`: reads paths again and compares them with what is registered, and looks at their signatures (Nix: `nix store verify`).
import { type Clock, systemClock } from "../base/clock.ts";
import { EngineError, messageOf } from "../base/errors.ts";
import type { Surroundings } from "../base/surroundings.ts";
import { loadConfig } from "../config/load.ts";
import { isContentAddressed } from "../formats/content-address.ts";
import { createHasher, printHash } from "../formats/hash.ts";
import type { PathInfo } from "../formats/path-info.ts";
import { type PublicKey, publicKeyMap, publicKeyOf, validSignatures } from "../formats/signature.ts";
import type { StorePath } from "../formats/store-path.ts";
import { mapLimited } from "../stores/binary-cache/objects/limiter.ts";
import { readSecretKeyFile } from "../stores/binary-cache/sign.ts";
import { printFault } from "../stores/embedded/verify.ts";
import { openAnyStore } from "../stores/open/open-any-store.ts";
import { PathInfos } from "../stores/path-infos.ts";
import type { PathStore } from "../stores/store.ts";
import { allPathsOf } from "./all-paths.ts";
import { onlyPaths, Resolver } from "./resolve-paths.ts";

export interface VerifyRequest {
  readonly settingsOverrides: ReadonlyMap<string, string>;
  /** Store paths, or links to them; empty: every path. */
  readonly paths: readonly string[];
  readonly recursive: boolean;
  readonly checkContents: boolean;
  readonly checkTrust: boolean;
  /** Signatures by trusted keys each path needs. Null: one where `require-sigs` is on, none for what was built here. */
  readonly sigsNeeded: number | null;
}

/** What is wrong with a path, in Nix's words. */
export interface VerifyFault {
  readonly kind: "corrupted" | "untrusted" | "failed";
  readonly message: string;
}

export interface Verified {
  readonly checked: number;
  /** Nix's: 1 for corrupted, 2 for untrusted, 4 for unreadable paths, added up. */
  readonly exitStatus: number;
}

/** Paths read at once. */
const PARALLEL = 4;

/**
 * Verifies paths.
 * @param report hears every fault as it is found
 * @throws EngineError of family `config`, `usage`, `store`; the signal's reason
 */
export async function verify(
  request: VerifyRequest,
  surroundings: Surroundings,
  report: { readonly found: (fault: VerifyFault) => void; readonly warned: (message: string) => void },
  signal: AbortSignal,
  clock: Clock = systemClock,
): Promise<Verified> {
  const config = loadConfig(request.settingsOverrides);
  const { settings } = config;
  for (const warning of config.warnings) report.warned(warning);
  const keys = publicKeyMap(settings.trustedPublicKeys);
  for (const file of settings.secretKeyFiles) {
    const key = publicKeyOf(readSecretKeyFile(file));
    if (!keys.has(key.name)) keys.set(key.name, key);
  }
  const resolver = new Resolver(config, surroundings, clock, report.warned);
  const opened = await openAnyStore(settings.store, config, surroundings, clock, report.warned);
  const kinds = new Set<VerifyFault["kind"]>();
  const found = (fault: VerifyFault): void => {
    kinds.add(fault.kind);
    report.found(fault);
  };
  try {
    if (request.paths.length === 0 && opened.type === "embedded") {
      // Only this finds what is registered and not there at all.
      const { faults } = await opened.store.verify({ checkContents: false }, signal);
      for (const fault of faults) found({ kind: "corrupted", message: printFault(fault) });
    }
    const named =
      request.paths.length === 0
        ? await allPathsOf(opened)
        : await resolver.paths(onlyPaths(request.paths, request.settingsOverrides), signal);
    const infos = new PathInfos(opened.store);
    const all = request.recursive ? await infos.closure(named, signal) : [...(await infos.get(named, signal)).values()];
    const needed = request.sigsNeeded ?? (settings.requireSigs ? null : 0);
    await mapLimited(all, PARALLEL, async (info) => {
      signal.throwIfAborted();
      if (request.checkContents) await checkContents(opened.store, info, found, signal);
      if (request.checkTrust && !isTrusted(info, keys, needed)) {
        found({ kind: "untrusted", message: `path '${info.path}' is untrusted` });
      }
    });
    const exitStatus =
      (kinds.has("corrupted") ? 1 : 0) + (kinds.has("untrusted") ? 2 : 0) + (kinds.has("failed") ? 4 : 0);
    return { checked: all.length, exitStatus };
  } finally {
    await Promise.allSettled([opened.close(), resolver.close()]);
  }
}

/** @param needed signatures by different trusted keys; null: one, or to have been built here */
function isTrusted(info: PathInfo, keys: ReadonlyMap<string, PublicKey>, needed: number | null): boolean {
  if (needed === 0 || (needed === null && info.ultimate)) return true;
  // Contents that imply the path need nobody's word.
  if (isContentAddressed(info.path, info.contentAddress, info.references)) return true;
  return validSignatures(info, keys).size >= (needed ?? 1);
}

async function checkContents(
  store: PathStore,
  info: PathInfo,
  found: (fault: VerifyFault) => void,
  signal: AbortSignal,
): Promise<void> {
  const hasher = createHasher("sha256");
  try {
    for await (const chunk of store.narFromPath(info.path, info.narSize, signal)) hasher.update(chunk);
  } catch (error) {
    signal.throwIfAborted();
    // A cache checks while it reads, and says what is wrong better than a hash could.
    const corrupted =
      error instanceof EngineError && /^CACHE_(NAR|FILE)_/.test(error.code) && error.code !== "CACHE_FILE_FAILED";
    found(
      corrupted
        ? { kind: "corrupted", message: error.message }
        : { kind: "failed", message: unreadable(info.path, error) },
    );
    return;
  }
  const digest = hasher.digest();
  if (Buffer.compare(digest, info.narHash) === 0) return;
  const show = (bytes: Uint8Array): string => printHash({ algorithm: "sha256", digest: bytes }, "nix32", true);
  const message = `path '${info.path}' was modified! expected hash '${show(info.narHash)}', got '${show(digest)}'`;
  found({ kind: "corrupted", message });
}

function unreadable(path: StorePath, error: unknown): string {
  return `path '${path}' cannot be read: ${messageOf(error)}`;
}
