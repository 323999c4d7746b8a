// Registers a set of paths as valid: one transaction, so that either the whole closure is registered or nothing.
import type { Clock } from "../../../base/clock.ts";
import { EngineError } from "../../../base/errors.ts";
import type { PathInfo } from "../../../formats/path-info.ts";
import type { StorePath } from "../../../formats/store-path.ts";
import type { StoreDatabase } from "./database.ts";

/** One path to register: its info and, for a derivation, its known outputs. */
export interface Registration {
  readonly info: PathInfo;
  /** Output name → path, for a `.drv` with known output paths; empty for everything else. */
  readonly derivationOutputs: ReadonlyMap<string, StorePath>;
}

/**
 * Registers paths, or updates the information on those already valid. The order does not matter, but every
 * reference must be valid or among them. A registration time of 0 becomes the current time.
 * @throws EngineError `STORE_REFERENCE_INVALID`, `STORE_REFERENCE_CYCLE`, and database errors; then nothing is registered.
 */
export async function registerPaths(
  database: StoreDatabase,
  clock: Clock,
  registrations: readonly Registration[],
): Promise<void> {
  if (registrations.length === 0) return;
  refuseCycles(registrations);
  await database.write(() => {
    const ids = new Map<StorePath, number>();
    for (const registration of registrations) {
      ids.set(registration.info.path, registerOne(database, clock, registration));
    }
    const addReference = database.statement("insert or replace into Refs (referrer, reference) values (?, ?)");
    for (const { info } of registrations) {
      for (const reference of info.references) {
        const id = ids.get(reference) ?? database.idOf(reference);
        if (id === null) {
          throw new EngineError(
            "store",
            "STORE_REFERENCE_INVALID",
            `cannot register '${info.path}': its reference '${reference}' is not valid`,
            { hint: "Add the reference first." },
          );
        }
        addReference.run(ids.get(info.path)!, id);
      }
    }
  });
}

/** Writes signatures and trust of a valid path; the caller is inside {@link StoreDatabase.write}. */
export function updatePath(database: StoreDatabase, info: PathInfo): void {
  database
    .statement("update ValidPaths set narSize = ?, hash = ?, ultimate = ?, sigs = ?, ca = ? where path = ?")
    .run(...changeable(info), info.path);
}

function registerOne(database: StoreDatabase, clock: Clock, { info, derivationOutputs }: Registration): number {
  const known = database.idOf(info.path);
  if (known !== null) {
    updatePath(database, info);
    return known;
  }
  const time = info.registrationTime === 0n ? Math.floor(clock.wallTime() / 1000) : Number(info.registrationTime);
  const [narSize, hash, ultimate, signatures, contentAddress] = changeable(info);
  const { lastInsertRowid } = database
    .statement(
      "insert into ValidPaths (path, hash, registrationTime, deriver, narSize, ultimate, sigs, ca) values (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .run(info.path, hash, time, info.deriver, narSize, ultimate, signatures, contentAddress);
  const id = Number(lastInsertRowid);
  const addOutput = database.statement("insert or replace into DerivationOutputs (drv, id, path) values (?, ?, ?)");
  for (const [name, path] of derivationOutputs) addOutput.run(id, name, path);
  return id;
}

/** narSize, hash, ultimate, sigs, ca as Nix writes them: null stands for 0, false, none. */
function changeable(info: PathInfo): [number | null, string, number | null, string | null, string | null] {
  return [
    info.narSize === 0n ? null : Number(info.narSize),
    `sha256:${Buffer.from(info.narHash).toString("hex")}`,
    info.ultimate ? 1 : null,
    info.signatures.length === 0 ? null : info.signatures.join(" "),
    info.contentAddress,
  ];
}

/** Only outputs of one derivation can refer to each other in a cycle; such a set must not become valid. */
function refuseCycles(registrations: readonly Registration[]): void {
  const references = new Map(registrations.map(({ info }) => [info.path, info.references]));
  const done = new Set<StorePath>();
  const above = new Set<StorePath>();
  for (const root of references.keys()) {
    const open: { path: StorePath; leaving: boolean }[] = [{ path: root, leaving: false }];
    for (let step = open.pop(); step !== undefined; step = open.pop()) {
      const { path, leaving } = step;
      if (leaving) {
        above.delete(path);
        done.add(path);
        continue;
      }
      if (done.has(path)) continue;
      above.add(path);
      open.push({ path, leaving: true });
      for (const reference of references.get(path) ?? []) {
        if (reference === path || !references.has(reference)) continue;
        if (above.has(reference)) {
          throw new EngineError(
            "store",
            "STORE_REFERENCE_CYCLE",
            `cycle detected in the references of '${reference}' from '${path}'`,
          );
        }
        open.push({ path: reference, leaving: false });
      }
    }
  }
}
