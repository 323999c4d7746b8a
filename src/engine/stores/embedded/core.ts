// What the parts of one open store share.

import type { Clock } from "../../base/clock.ts";
import type { InputHashes } from "../../derivation/hash-modulo.ts";
import type { GcLock } from "./collector/gc-lock.ts";
import type { TempRoots } from "./collector/temp-roots.ts";
import type { StoreDatabase } from "./database/database.ts";
import type { WorkDir } from "./files/work-dir.ts";
import type { StoreLayout } from "./layout.ts";
import type { EmbeddedSettings } from "./settings.ts";
import type { Trust } from "./trust.ts";

/** One open store. */
export interface StoreCore {
  readonly layout: StoreLayout;
  readonly database: StoreDatabase;
  readonly clock: Clock;
  readonly random: () => number;
  readonly settings: EmbeddedSettings;
  readonly trust: Trust;
  readonly gcLock: GcLock;
  readonly tempRoots: TempRoots;
  /** Hashes modulo of the derivations in this store, each computed once. */
  readonly inputHashes: InputHashes;
  /** Created when first needed, which also cleans up after processes that have died. */
  readonly workDir: () => Promise<WorkDir>;
}
