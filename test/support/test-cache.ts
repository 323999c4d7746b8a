// Where tests keep what is costly to make and safe to share between runs: a folder in the user's or the system's cache.
import { mkdirSync } from "node:fs";
import { join } from "node:path";

/** The folder of that name below the test cache (made when missing); the same place `install-nix-generations.sh` uses. */
export function testCache(name: string): string {
  const home = process.env.HOME;
  const base =
    process.env.XDG_CACHE_HOME ??
    (process.getuid?.() === 0 || home === undefined ? "/var/cache" : join(home, ".cache"));
  const directory = join(base, "tsbuild-top-test", name);
  mkdirSync(directory, { recursive: true });
  return directory;
}
