// How much room deleting made, in Nix's words.

/** One line. @param bytesFreed bytes on disk */
export function freedText(count: number, bytesFreed: bigint): string {
  return `${count} store paths deleted, ${(Number(bytesFreed) / (1024 * 1024)).toFixed(2)} MiB freed`;
}
