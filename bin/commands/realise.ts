// `realise`: makes paths valid like `nix-store --realise`: a build of exactly these, with Nix's warning when nothing keeps the result.
import { type Surroundings, storeWords } from "../../src/engine/index.ts";
import type { BuildInvocation, RealiseInvocation } from "../invocation.ts";
import { warn } from "../say.ts";
import { build } from "./build.ts";

const NO_ROOT = "you did not specify '--add-root'; the result might be removed by the garbage collector";
/** Who names a path wants to know whether it is there now, not what a cache said of it an hour ago. */
const NEGATIVE_TTL = "narinfo-cache-negative-ttl";

/** Realises; `--add-root LINK` makes links as `build --out-link` does. */
export async function realiseCommand(invocation: RealiseInvocation, surroundings: Surroundings): Promise<number> {
  const { paths, ...shared } = invocation;
  const asBuild: BuildInvocation = {
    ...shared,
    type: "build",
    settingsOverrides: new Map([[NEGATIVE_TTL, "0"], ...invocation.settingsOverrides]),
    installables: { words: await storeWords(paths, surroundings.cwd), file: null, expression: null, attributes: [] },
    evaluation: { arguments: [], lookupPath: [], showTrace: false, flakeFlags: [] },
    outLink: invocation.addRoot,
    profile: null,
  };
  const status = await build(asBuild, surroundings);
  if (status === 0 && invocation.addRoot === null && !invocation.dryRun) warn(NO_ROOT);
  return status;
}
