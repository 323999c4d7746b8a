// Finds the default `/bin/sh` of a sandbox: a static busybox, else the host's shell with its libraries.
import { spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync, readSync, realpathSync } from "node:fs";
import { EngineError } from "../../../../base/errors.ts";
import { searchPath } from "../../files/flock.ts";
import type { SandboxMount } from "./sandbox-plan.ts";

/** The mounts that make up a shell. */
export interface SandboxShell {
  readonly mounts: readonly SandboxMount[];
  readonly busybox: boolean;
}

/** Finds a shell; throws `EXECUTOR_NO_SHELL`, or `EXECUTOR_NO_LIBRARIES` when it needs libraries that cannot be determined. */
export function findSandboxShell(): SandboxShell {
  const busybox = findStaticBusybox();
  if (busybox !== null) return { mounts: [{ target: "/bin/sh", source: busybox, writable: false }], busybox: true };
  if (!existsSync("/bin/sh")) {
    throw new EngineError("build", "EXECUTOR_NO_SHELL", "no shell found for '/bin/sh' in the sandbox", {
      hint: "Install a static busybox, or set sandbox-paths.",
    });
  }
  const source = realpathSync("/bin/sh");
  const mounts: SandboxMount[] = [{ target: "/bin/sh", source, writable: false }];
  for (const library of isStatic(source) ? [] : librariesOf(source)) {
    mounts.push({ target: library, source: realpathSync(library), writable: false });
  }
  return { mounts, busybox: false };
}

/** A busybox that needs no libraries, null if there is none. */
export function findStaticBusybox(): string | null {
  for (const directory of searchPath().split(":")) {
    for (const name of ["busybox", "busybox.static", "busybox-static"]) {
      const program = `${directory}/${name}`;
      if (!existsSync(program)) continue;
      const source = realpathSync(program);
      if (isStatic(source)) return source;
    }
  }
  return null;
}

/** The libraries of a program according to `ldd`, including the loader. */
export function parseLibraries(listing: string): string[] {
  const libraries = new Set<string>();
  for (const line of listing.split("\n")) {
    const match = /(?:=>\s*)?(\/\S+)\s+\(0x[0-9a-f]+\)/.exec(line);
    if (match !== null) libraries.add(match[1]!);
  }
  return [...libraries];
}

function librariesOf(program: string): string[] {
  const { stdout, error } = spawnSync("ldd", [program], { encoding: "utf8", env: { PATH: searchPath() } });
  const libraries = parseLibraries(stdout ?? "").filter((library) => existsSync(library));
  if (libraries.length > 0) return libraries;
  const why = error === undefined ? `'ldd' names none for '${program}'` : "there is no program 'ldd' here";
  throw new EngineError(
    "build",
    "EXECUTOR_NO_LIBRARIES",
    `cannot put '/bin/sh' into the sandbox with its libraries: ${why}`,
    {
      hint: "Install a static busybox (Debian: busybox-static), or ldd, or say with sandbox-paths what builds may see.",
      cause: error,
    },
  );
}

/** Whether a program needs no loader: its ELF header lists no interpreter. */
function isStatic(program: string): boolean {
  const bytes = Buffer.alloc(4096);
  const file = openSync(program, "r");
  let length: number;
  try {
    length = readSync(file, bytes, 0, bytes.length, 0);
  } finally {
    closeSync(file);
  }
  return length > 64 && isStaticElf(bytes.subarray(0, length));
}

/** Whether the beginning of a 64-bit little-endian ELF file names no interpreter (System V ABI, program header type 3). */
export function isStaticElf(bytes: Buffer): boolean {
  if (bytes.length < 64 || bytes.readUInt32BE(0) !== 0x7f454c46 || bytes[4] !== 2 || bytes[5] !== 1) return false;
  const offset = Number(bytes.readBigUInt64LE(32));
  const size = bytes.readUInt16LE(54);
  const count = bytes.readUInt16LE(56);
  for (let index = 0; index < count; index++) {
    const at = offset + index * size;
    if (at + 4 > bytes.length) return false;
    if (bytes.readUInt32LE(at) === 3) return false;
  }
  return count > 0;
}
