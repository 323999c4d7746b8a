// Folders under the system's temporary one that are gone after the test process, however it ends short of being killed.
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const made = new Set<string>();

/** Makes `<tmp>/tsbt-<name>-XXXXXX`, which every account may enter. {@link removeDirectory} deletes it before the process does. */
export function temporaryDirectory(name: string): string {
  const path = mkdtempSync(join(tmpdir(), `tsbt-${name}-`));
  chmodSync(path, 0o755);
  if (made.size === 0) process.once("exit", () => made.forEach(removeDirectory));
  made.add(path);
  return path;
}

/** Deletes a folder made by {@link temporaryDirectory} with all that is in it. May be called twice. */
export function removeDirectory(path: string): void {
  made.delete(path);
  try {
    rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  } catch {
    // Directories of a store are read-only, which stops everybody but root.
    spawnSync("chmod", ["-R", "u+w", path]);
    rmSync(path, { recursive: true, force: true });
  }
}
