// The commands of the serve protocol: their numbers (Nix: serve-protocol.hh). All of them exist since 2.5.

/** Name → number on the wire. Nix 2.32 removed 5 (ExportPaths), which is never sent or served. */
export const SERVE_COMMANDS = {
  queryValidPaths: 1,
  queryPathInfos: 2,
  dumpStorePath: 3,
  importPaths: 4,
  exportPaths: 5,
  buildPaths: 6,
  queryClosure: 7,
  buildDerivation: 8,
  addToStoreNar: 9,
} as const;

export type ServeCommand = keyof typeof SERVE_COMMANDS;

const NAMES = new Map<number, ServeCommand>();
for (const name of Object.keys(SERVE_COMMANDS) as ServeCommand[]) NAMES.set(SERVE_COMMANDS[name], name);

/** The command with a number, undefined for unknown ones. */
export function commandOf(code: bigint): ServeCommand | undefined {
  return code > 1000n ? undefined : NAMES.get(Number(code));
}
