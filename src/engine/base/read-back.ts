// Reads back files this program wrote: regular files only, up to a maximum size. Opening never blocks, even if something else is there by now.
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";

const CHUNK = 1 << 20;

export interface ReadBack {
  readonly bytes: Buffer;
  /** Wall time of the last change, ms. */
  readonly changedAt: number;
}

/**
 * Reads a whole file.
 * @throws the system's error, or one that says that the file is not regular or is larger than `maxBytes`
 */
export function readBack(file: string, maxBytes: number): ReadBack {
  const fd = openBack(file);
  try {
    const { size, mtimeMs } = fstatSync(fd);
    if (size > maxBytes) throw new Error(`it is ${size} bytes long, more than ${maxBytes}`);
    const chunks: Buffer[] = [];
    // The file may grow while it is read: going past the maximum is still an error.
    for (let total = 0; ; ) {
      const chunk = Buffer.allocUnsafe(Math.min(CHUNK, Math.max(size - total, 4096) + 1));
      const count = readSync(fd, chunk);
      if (count === 0) return { bytes: Buffer.concat(chunks), changedAt: mtimeMs };
      total += count;
      if (total > maxBytes) throw new Error(`it is longer than ${maxBytes} bytes`);
      chunks.push(chunk.subarray(0, count));
    }
  } finally {
    closeSync(fd);
  }
}

/** Opens a regular file for reading; a FIFO, a socket or a device in its place is an error at once. */
export function openBack(file: string): number {
  const fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  if (fstatSync(fd).isFile()) return fd;
  closeSync(fd);
  throw new Error("it is no regular file");
}
