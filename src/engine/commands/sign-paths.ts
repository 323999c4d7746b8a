// `sign-paths`: adds signatures by a secret key to paths of a store (Nix: `nix store sign`).
import { type Clock, systemClock } from "../base/clock.ts";
import type { Surroundings } from "../base/surroundings.ts";
import { loadConfig } from "../config/load.ts";
import { mapLimited } from "../stores/binary-cache/objects/limiter.ts";
import { missingSignatures, readSecretKeyFile } from "../stores/binary-cache/sign.ts";
import { openAnyStore } from "../stores/open/open-any-store.ts";
import { PathInfos } from "../stores/path-infos.ts";
import { allPathsOf } from "./all-paths.ts";
import { onlyPaths, Resolver } from "./resolve-paths.ts";

export interface SignPathsRequest {
  readonly settingsOverrides: ReadonlyMap<string, string>;
  readonly keyFile: string;
  /** Store paths, or links to them. */
  readonly paths: readonly string[];
  readonly all: boolean;
  /** Whether what they refer to is signed, too. */
  readonly recursive: boolean;
}

export interface SignedPaths {
  /** Signatures that were not there before. */
  readonly added: number;
  readonly paths: number;
  readonly warnings: readonly string[];
}

/** Signatures on their way to the store at once. */
const PARALLEL = 64;

/** Signs paths. @throws EngineError `SECRET_KEY_UNREADABLE`, `KEY_MALFORMED`, `STORE_PATH_NOT_VALID`, what the store throws */
export async function signPaths(
  request: SignPathsRequest,
  surroundings: Surroundings,
  clock: Clock = systemClock,
): Promise<SignedPaths> {
  const config = loadConfig(request.settingsOverrides);
  const warnings = [...config.warnings];
  const notice = (message: string): void => void warnings.push(message);
  const key = readSecretKeyFile(request.keyFile);
  const resolver = new Resolver(config, surroundings, clock, notice);
  const opened = await openAnyStore(config.settings.store, config, surroundings, clock, notice);
  try {
    const named = request.all
      ? await allPathsOf(opened)
      : await resolver.paths(onlyPaths(request.paths, request.settingsOverrides), null);
    const infos = new PathInfos(opened.store);
    const wanted = request.recursive ? await infos.closure(named) : [...(await infos.get(named)).values()];
    const counts = await mapLimited(wanted, PARALLEL, async (info) => {
      const added = missingSignatures(info, [key]);
      if (added.length > 0) await opened.store.addSignatures(info.path, added);
      return added.length;
    });
    return { added: counts.reduce((sum, count) => sum + count, 0), paths: wanted.length, warnings };
  } finally {
    await Promise.allSettled([opened.close(), resolver.close()]);
  }
}
