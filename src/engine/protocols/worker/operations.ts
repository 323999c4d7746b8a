// The operations of the worker protocol: their numbers and the version that introduced each (Nix: worker-protocol.hh).

/** Name → number on the wire. */
export const WORKER_OPERATIONS = {
  isValidPath: 1,
  queryReferrers: 6,
  addToStore: 7,
  addTextToStore: 8,
  buildPaths: 9,
  ensurePath: 10,
  addTempRoot: 11,
  addIndirectRoot: 12,
  syncWithGc: 13,
  findRoots: 14,
  setOptions: 19,
  collectGarbage: 20,
  querySubstitutablePathInfo: 21,
  queryAllValidPaths: 23,
  queryPathInfo: 26,
  queryPathFromHashPart: 29,
  querySubstitutablePathInfos: 30,
  queryValidPaths: 31,
  querySubstitutablePaths: 32,
  queryValidDerivers: 33,
  optimiseStore: 34,
  verifyStore: 35,
  buildDerivation: 36,
  addSignatures: 37,
  narFromPath: 38,
  addToStoreNar: 39,
  queryMissing: 40,
  queryDerivationOutputMap: 41,
  registerDrvOutput: 42,
  queryRealisation: 43,
  addMultipleToStore: 44,
  addBuildLog: 45,
  buildPathsWithResults: 46,
  addPermRoot: 47,
} as const;

export type WorkerOperation = keyof typeof WORKER_OPERATIONS;

/**
 * Operations that old daemons do not know, by the minor that guarantees them. An unknown number ends the connection, so they are never sent
 * below it. AddBuildLog came with Nix 2.6, but only 1.33 (2.7) guarantees it; AddPermRoot came with 2.20, that is 1.37.
 */
const SINCE: Partial<Record<WorkerOperation, number>> = {
  addToStore: 25,
  queryDerivationOutputMap: 22,
  registerDrvOutput: 27,
  queryRealisation: 27,
  queryMissing: 19,
  addToStoreNar: 17,
  addMultipleToStore: 32,
  addBuildLog: 33,
  buildPathsWithResults: 34,
  addPermRoot: 37,
};

/** The lowest agreed minor at which the operation may be sent. */
export function operationSince(operation: WorkerOperation): number {
  return SINCE[operation] ?? 0;
}

const NAMES = new Map<number, WorkerOperation>();
for (const name of Object.keys(WORKER_OPERATIONS) as WorkerOperation[]) NAMES.set(WORKER_OPERATIONS[name], name);

/** The operation with a number, undefined for numbers this program does not know. */
export function operationOf(code: bigint): WorkerOperation | undefined {
  return code > 1000n ? undefined : NAMES.get(Number(code));
}
