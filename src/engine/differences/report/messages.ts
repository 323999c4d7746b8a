// Nix's words for rounds and checks, printed as Nix prints them and read back from what any generation of Nix says.
import { isStorePath, STORE_DIR, type StorePath } from "../../formats/store-path.ts";

/** The failure of a check (Nix 2.8, `registerOutputs`). `otherPath` is where the second result is kept, null when it is not. */
export function checkDiffersMessage(drvPath: string, outputPath: string, otherPath: string | null): string {
  return `derivation '${drvPath}' may not be deterministic: output '${outputPath}' differs${fromPath(otherPath)}`;
}

/** The failure or warning of a round (Nix 2.8, `registerOutputs`); `otherPath` likewise. */
export function roundDiffersMessage(drvPath: string, outputPath: string, otherPath: string | null): string {
  return `output '${outputPath}' of '${drvPath}' differs${fromPath(otherPath)} from previous round`;
}

/** The difference a machine's own comparison found. */
export interface ToldDifference {
  readonly drvPath: string;
  /** The output as a store path. */
  readonly output: StorePath;
  /** The output's place on that machine's disk: another one than `output` in a store with a root directory. */
  readonly realOutput: string;
  /** Where the machine keeps the second result, as a place on its disk; null when it does not. */
  readonly realOther: string | null;
}

// 2.8 and 2.26 quote the paths with ', 2.34 prints them as std::filesystem does, in ".
const DIFFERS =
  /derivation\s+'([^'\n]+)'\s+may not be deterministic:\s+output\s+(?:'([^'\n]+)'|"([^"\n]+)")\s+differs(?:\s+from\s+(?:'([^'\n]+)'|"([^"\n]+)"))?/g;

/**
 * Every difference a message names (Nix stops at the first; the embedded store tells of all). Empty when there is none. Paths whose base name is no
 * store path are left out.
 */
export function parseCheckDifferences(message: string): ToldDifference[] {
  const differences: ToldDifference[] = [];
  for (const [, drvPath = "", single, double, otherSingle, otherDouble] of withoutColours(message).matchAll(DIFFERS)) {
    const realOutput = single ?? double ?? "";
    const output = logicalPath(realOutput);
    if (output === null) continue;
    const realOther = otherSingle ?? otherDouble ?? null;
    // It is read, renamed and removed by this name: it must be what Nix calls it and nothing else.
    const isKept = realOther === `${realOutput}.check`;
    differences.push({ drvPath, output, realOutput, realOther: isKept ? realOther : null });
  }
  return differences;
}

/** The store path of a place on disk such as `/srv/root/nix/store/…`; null when its base name is no store path's. */
export function logicalPath(realPath: string): StorePath | null {
  const logical = `${STORE_DIR}/${realPath.slice(realPath.lastIndexOf("/") + 1)}`;
  return realPath.endsWith(logical) && isStorePath(logical) && !/(?:^|\/)\.\.?(?:\/|$)/.test(realPath) ? logical : null;
}

function fromPath(otherPath: string | null): string {
  return otherPath === null ? "" : ` from '${otherPath}'`;
}

function withoutColours(text: string): string {
  return text.replace(/\u001b\[[0-?]*[ -/]*[@-~]/g, "");
}
