// Which generations of Nix the tests can run: this machine's own, and those of newer Debian suites unpacked into a cache.
import { accessSync, constants } from "node:fs";
import { fileURLToPath } from "node:url";
import { collect } from "./processes.ts";

/** One Nix the tests can run. Its programs are in `<root>/usr/bin`. */
export interface NixGeneration {
  /** As `nix --version` says it, for instance "2.26.3". Key expectations to this, suites move on. */
  readonly version: string;
  /** "host", or the Debian suite it was unpacked from. */
  readonly suite: string;
  /** "/" for the host's own. */
  readonly root: string;
}

let found: Promise<NixGeneration[]> | undefined;

/**
 * Every generation that can be had here, the host's first, then by age. Empty (with the reason on stderr) where private mount
 * namespaces cannot be made: not root, or no Nix. The first call may unpack suites (about 6 s each), later runs find them in the cache.
 */
export function nixGenerations(): Promise<NixGeneration[]> {
  found ??= findGenerations();
  return found;
}

/** Whether the generation is of that Nix release or a later one: `atLeast(generation, "2.18")`. */
export function atLeast(generation: NixGeneration, release: string): boolean {
  const parts = (text: string) => text.split(/[^0-9]+/).map(Number);
  const have = parts(generation.version);
  for (const [index, wanted] of parts(release).entries()) {
    const difference = (have[index] ?? 0) - wanted;
    if (difference !== 0) return difference > 0;
  }
  return true;
}

async function findGenerations(): Promise<NixGeneration[]> {
  if (process.platform !== "linux" || process.getuid?.() !== 0) {
    process.stderr.write("SKIPPED: no Nix generations: private mount namespaces need Linux and root\n");
    return [];
  }
  const generations: NixGeneration[] = [];
  if (executable("/usr/bin/nix-store")) {
    const answer = await collect("/usr/bin/nix-store", ["--version"]);
    generations.push({ version: versionIn(answer.stdout), suite: "host", root: "/" });
  } else {
    process.stderr.write("SKIPPED: this machine has no /usr/bin/nix-store (Debian: nix-bin)\n");
  }
  const script = fileURLToPath(new URL("install-nix-generations.sh", import.meta.url));
  const unpacked = await collect("bash", [script], { timeoutMs: 170_000 });
  if (unpacked.status !== 0) process.stderr.write(`SKIPPED: some generations of Nix: ${unpacked.stderr}\n`);
  for (const line of unpacked.stdout.split("\n")) {
    const [suite, root, version] = line.split("\t");
    if (suite !== undefined && root !== undefined && version !== undefined) {
      generations.push({ version: versionIn(version), suite, root });
    }
  }
  return generations;
}

function versionIn(text: string): string {
  const version = /([0-9]+(?:\.[0-9]+)+)/.exec(text)?.[1];
  if (version === undefined) throw new Error(`no Nix version in ${JSON.stringify(text)}`);
  return version;
}

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
