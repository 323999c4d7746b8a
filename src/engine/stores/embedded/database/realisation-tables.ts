// Records the paths of content-addressed outputs, in the tables Nix 2.8 to 2.34 use for them.
import { existsSync, writeFileSync } from "node:fs";
import { EngineError } from "../../../base/errors.ts";
import { isStorePath, type StorePath } from "../../../formats/store-path.ts";
import type { StoreLayout } from "../layout.ts";
import type { StoreDatabase } from "./database.ts";
import { CA_SCHEMA, CA_SCHEMA_NUMBER } from "./schema.ts";

/** Parses `sha256:<hex>!<output>`. Throws `REALISATION_ID_MALFORMED`. */
export function parseOutputId(id: string): { readonly derivationHash: string; readonly outputName: string } {
  const match = /^(sha256:[0-9a-f]{64})!([0-9a-zA-Z+\-._?=]{1,211})$/.exec(id);
  if (match === null) {
    throw new EngineError(
      "store",
      "REALISATION_ID_MALFORMED",
      `expected 'sha256:<64 hex digits>!<output name>', found '${id.slice(0, 200)}'`,
    );
  }
  return { derivationHash: match[1]!, outputName: match[2]! };
}

/**
 * Records that this valid path is the output. Recording the same again changes nothing.
 * @throws EngineError `REALISATION_CONFLICT` when another path is recorded, `STORE_PATH_NOT_VALID`.
 */
export async function registerRealisation(
  database: StoreDatabase,
  layout: StoreLayout,
  outputId: string,
  path: StorePath,
): Promise<void> {
  const { derivationHash, outputName } = parseOutputId(outputId);
  await database.write(() => {
    if (!hasTable(database)) database.connection.exec(CA_SCHEMA);
    const pathId = database.idOf(path);
    if (pathId === null) {
      throw new EngineError(
        "store",
        "STORE_PATH_NOT_VALID",
        `path '${path}' is not valid, so '${outputId}' cannot be it`,
      );
    }
    const known = queryRealisation(database, outputId);
    if (known === path) return;
    if (known !== null) {
      throw new EngineError(
        "store",
        "REALISATION_CONFLICT",
        `cannot record '${path}' as '${outputId}': it is '${known}' already`,
        { hint: "The derivation is not deterministic; delete the recorded path first if the other is wanted." },
      );
    }
    database
      .statement("insert into Realisations (drvPath, outputName, outputPath, signatures) values (?, ?, ?, ?)")
      .run(derivationHash, outputName, pathId, "");
  });
  if (!existsSync(layout.caSchemaFile)) writeFileSync(layout.caSchemaFile, `${CA_SCHEMA_NUMBER}`);
}

/** The recorded path of the output, null when there is none. */
export function queryRealisation(database: StoreDatabase, outputId: string): StorePath | null {
  const { derivationHash, outputName } = parseOutputId(outputId);
  if (!hasTable(database)) return null;
  const row = database
    .statement(
      "select o.path as path from Realisations r join ValidPaths o on o.id = r.outputPath where r.drvPath = ? and r.outputName = ?",
    )
    .get(derivationHash, outputName) as Record<string, unknown> | undefined;
  const path = row?.path;
  return typeof path === "string" && isStorePath(path) ? path : null;
}

function hasTable(database: StoreDatabase): boolean {
  return (
    database.statement("select 1 from sqlite_master where type = 'table' and name = 'Realisations'").get() !== undefined
  );
}
