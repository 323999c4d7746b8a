// Reads the derivations that a set of targets needs, breadth first and many at a time.
import { open } from "node:fs/promises";
import { join } from "node:path";
import { EngineError, messageOf } from "../base/errors.ts";
import type { Derivation } from "../derivation/derivation.ts";
import { parseDerivation } from "../derivation/parse.ts";
import type { StorePath } from "../formats/store-path.ts";
import { baseNameOf, derivationNameOf } from "../formats/store-path.ts";

/** Reads the bytes of a `.drv` file. */
export type ReadDrv = (path: StorePath) => Promise<Uint8Array>;

/** Limits of a closure. */
export interface DrvClosureLimits {
  /** Maximum number of concurrent reads. */
  readonly concurrency: number;
  /** Maximum number of derivations; Debian's whole archive has 63,569. */
  readonly maxDerivations: number;
}

const DEFAULT_LIMITS: DrvClosureLimits = { concurrency: 64, maxDerivations: 1_000_000 };

/** Maximum size of one `.drv` in bytes; the largest of Nixpkgs have a few MiB. */
export const MAX_DRV_BYTES = 64 * 1024 * 1024;

/**
 * The derivations at `targets` and all their input derivations, by path.
 * @throws EngineError `DRV_CLOSURE_UNREADABLE` (names the derivation and its dependent), `DRV_CLOSURE_TOO_LARGE`, or a parse error; the
 * signal's reason.
 */
export async function readDrvClosure(
  targets: Iterable<StorePath>,
  readDrv: ReadDrv,
  limits: DrvClosureLimits = DEFAULT_LIMITS,
  signal: AbortSignal | null = null,
): Promise<Map<StorePath, Derivation>> {
  const neededBy = new Map<StorePath, StorePath | null>();
  const queue: StorePath[] = [];
  const want = (path: StorePath, by: StorePath | null): void => {
    if (neededBy.has(path)) return;
    if (neededBy.size >= limits.maxDerivations) {
      throw new EngineError(
        "store",
        "DRV_CLOSURE_TOO_LARGE",
        `expected at most ${limits.maxDerivations} derivations, found more`,
      );
    }
    neededBy.set(path, by);
    queue.push(path);
  };
  for (const target of targets) want(target, null);

  const closure = new Map<StorePath, Derivation>();
  const failures: unknown[] = [];
  const readOne = async (path: StorePath): Promise<void> => {
    try {
      signal?.throwIfAborted();
      const bytes = await readDrv(path).catch((cause: unknown) => {
        throw unreadable(path, neededBy.get(path) ?? null, cause);
      });
      const derivation = parseDerivation(bytes, derivationNameOf(path));
      closure.set(path, derivation);
      for (const input of derivation.inputDrvs.keys()) want(input, path);
    } catch (error) {
      failures.push(error);
    }
  };

  let next = 0;
  let reading = 0;
  let wake: () => void = () => undefined;
  for (;;) {
    for (; next < queue.length && reading < limits.concurrency && failures.length === 0; next += 1) {
      reading += 1;
      void readOne(queue[next] as StorePath).then(() => {
        reading -= 1;
        wake();
      });
    }
    if (reading === 0) break;
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
  if (failures.length > 0) throw failures[0];
  return closure;
}

function unreadable(path: StorePath, neededBy: StorePath | null, cause: unknown): EngineError {
  const user = neededBy === null ? "" : `, which '${neededBy}' needs`;
  const error = cause as NodeJS.ErrnoException | null;
  if (error?.code === "ENOENT")
    return notThere(path, `${user} is not in this store: found no '${error.path ?? path}'`, cause);
  return new EngineError(
    "store",
    "DRV_CLOSURE_UNREADABLE",
    `cannot read derivation '${path}'${user}: ${messageOf(cause)}`,
    {
      hint: "it may have been garbage-collected: evaluate again, or copy it here with its closure",
      cause,
    },
  );
}

/** The error for a derivation that is in another store, or in none. */
export function notThere(path: StorePath, how: string, cause?: unknown): EngineError {
  return new EngineError("store", "DRV_NOT_THERE", `derivation '${path}'${how}`, {
    hint: "it lies in another store (see --store; copy --from brings it here), or was garbage-collected: evaluate again",
    cause,
  });
}

/** Reads `.drv` files from a directory: `/nix/store`, or `ROOT/nix/store` of a private store. */
export function readDrvFrom(storeDirectory: string): ReadDrv {
  return async (path) => {
    const file = await open(join(storeDirectory, baseNameOf(path)), "r");
    try {
      const { size } = await file.stat();
      if (size > MAX_DRV_BYTES)
        throw new EngineError("store", "DRV_TOO_LARGE", `expected at most ${MAX_DRV_BYTES} bytes, found ${size}`);
      return await file.readFile();
    } finally {
      await file.close();
    }
  };
}
