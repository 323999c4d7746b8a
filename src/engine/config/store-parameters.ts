// The parameters of a store reference (after `?`): one table per kind of store; the same rows read and print them.
import type { ValueKind, ValueOf } from "./value-kinds.ts";
import { bool, count, integer, list, nullable, optionalPath, optionalText, set } from "./value-kinds.ts";

interface ParameterRow<T> {
  readonly kind: ValueKind<T>;
  readonly defaultValue: T;
}

function row<T>(kind: ValueKind<T>, defaultValue: NoInfer<T>): ParameterRow<T> {
  return { kind, defaultValue };
}

/** Every store has these (Nix manual, store types). A null priority means the store's own. */
const COMMON = {
  priority: row(nullable(integer), null),
  "want-mass-query": row(nullable(bool), null),
  "path-info-cache-size": row(count, 65536),
  "system-features": row(nullable(set), null),
  trusted: row(bool, false),
};

const REMOTE = {
  ...COMMON,
  "max-connections": row(nullable(count), null),
  "max-connection-age": row(nullable(count), null),
};

/** `ssh://` and `ssh-ng://`. */
const SSH = {
  ...REMOTE,
  "ssh-key": row(optionalText, null),
  /** Base64 of the whole public host key text (`ssh-ed25519 AAAA…`). */
  "base64-ssh-public-host-key": row(optionalText, null),
  /** Program and arguments; empty: `nix-daemon` or `nix-store`, by protocol. */
  "remote-program": row(list, []),
  /** Passed to the remote program as `--store`. */
  "remote-store": row(optionalText, null),
  compress: row(bool, false),
};

/** `local`, directories, and `unix://` to a daemon: where the store's parts lie. */
const LOCAL = {
  ...REMOTE,
  root: row(optionalPath, null),
  state: row(optionalPath, null),
  log: row(optionalPath, null),
  real: row(optionalPath, null),
  "require-sigs": row(nullable(bool), null),
  "read-only": row(bool, false),
};

/** `file://`, `http(s)://`, `s3://`. */
const CACHE = {
  ...COMMON,
  compression: row(optionalText, null),
  "compression-level": row(nullable(integer), null),
  "parallel-compression": row(bool, false),
  "write-nar-listing": row(bool, false),
  "index-debug-info": row(bool, false),
  /** File with the key that signs uploads. */
  "secret-key": row(optionalPath, null),
  /** More such files, separated by commas. */
  "secret-keys": row(optionalText, null),
  "local-nar-cache": row(optionalPath, null),
  profile: row(optionalText, null),
  region: row(optionalText, null),
  endpoint: row(optionalText, null),
  scheme: row(optionalText, null),
  "addressing-style": row(optionalText, null),
  "storage-class": row(optionalText, null),
};

const TABLES = { common: COMMON, ssh: SSH, local: LOCAL, cache: CACHE };

type Tables = typeof TABLES;
type CamelCase<Name extends string> = Name extends `${infer First}-${infer Rest}`
  ? `${First}${Capitalize<CamelCase<Rest>>}`
  : Name;
type ParametersOf<Table extends Record<string, { readonly kind: unknown }>> = {
  readonly [Name in keyof Table & string as CamelCase<Name>]: ValueOf<Table[Name]["kind"]>;
};

/** Which table a store's parameters are in. */
export type ParameterTable = keyof Tables;
export type CommonParameters = ParametersOf<Tables["common"]>;
export type SshParameters = ParametersOf<Tables["ssh"]>;
export type LocalParameters = ParametersOf<Tables["local"]>;
export type CacheParameters = ParametersOf<Tables["cache"]>;
export interface Parameters {
  readonly common: CommonParameters;
  readonly ssh: SshParameters;
  readonly local: LocalParameters;
  readonly cache: CacheParameters;
}

/** Parameters that only Nix uses, accepted silently. */
const FOREIGN = new Set(
  `store log-fd remount-hook check-mount use-roots-daemon lower-store upper-layer build-dir ignore-gc-delete-failure
   narinfo-compression ls-compression log-compression multipart-upload multipart-threshold multipart-chunk-size buffer-size
   tls-certificate tls-private-key allow-symlinked-store retry-attempts retry-delay retry-max-delay retry-delay-rate-limited`
    .split(/\s+/)
    .filter((name) => name !== ""),
);

/** Nix parameters that would change the behaviour but are not implemented here: giving one raises a warning. */
const UNHEEDED: Readonly<Record<ParameterTable, readonly string[]>> = {
  common: ["system-features"],
  ssh: ["max-connections", "max-connection-age"],
  local: ["state", "log", "real", "read-only", "system-features"],
  cache: ["index-debug-info", "local-nar-cache"],
};

/** Those of the given parameters that have no effect on a store of this kind. */
export function unheededParameters(table: ParameterTable, given: Iterable<string>): string[] {
  return [...given].filter((name) => UNHEEDED[table].includes(name));
}

function rowsOf(table: ParameterTable): ReadonlyMap<string, ParameterRow<unknown>> {
  return new Map(Object.entries(TABLES[table]) as [string, ParameterRow<unknown>][]);
}

function camelCase(name: string): string {
  return name.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** Parsed parameters: typed values, problems (shown as warnings), and bad values (refused). */
export interface ParsedParameters<Table extends ParameterTable> {
  readonly parameters: Parameters[Table];
  readonly warnings: readonly string[];
  readonly bad: readonly { readonly name: string; readonly value: string; readonly expected: string }[];
}

/** Reads decoded name-value pairs by one table. */
export function parseParameters<Table extends ParameterTable>(
  table: Table,
  given: ReadonlyMap<string, string>,
): ParsedParameters<Table> {
  const rows = rowsOf(table);
  const values: Record<string, unknown> = {};
  const warnings: string[] = [];
  const bad: { name: string; value: string; expected: string }[] = [];
  for (const [name, { defaultValue }] of rows) values[camelCase(name)] = defaultValue;
  for (const [name, value] of given) {
    const found = rows.get(name);
    if (found === undefined) {
      if (!FOREIGN.has(name)) warnings.push(`unknown store parameter '${name}'`);
      continue;
    }
    const parsed = found.kind.parse(value);
    if (parsed === undefined) bad.push({ name, value, expected: found.kind.expected });
    else values[camelCase(name)] = parsed;
  }
  // The table's rows give each key the type that `Parameters` derives from the same rows.
  return { parameters: values as unknown as Parameters[Table], warnings, bad };
}

/** Name-value pairs that differ from the defaults, sorted by name. Secrets are never parameters: keys are given as file names. */
export function printParameters<Table extends ParameterTable>(
  table: Table,
  parameters: Parameters[Table],
): [name: string, value: string][] {
  const values: Record<string, unknown> = { ...parameters };
  const pairs: [string, string][] = [];
  for (const [name, { kind, defaultValue }] of rowsOf(table)) {
    const printed = kind.print(values[camelCase(name)]);
    if (printed !== kind.print(defaultValue)) pairs.push([name, printed]);
  }
  return pairs.sort(([a], [b]) => (a < b ? -1 : 1));
}
