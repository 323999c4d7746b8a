// `sign-paths`: signs paths and says how many signatures were new.
import { type Surroundings, signStorePaths } from "../../src/engine/index.ts";
import type { SignPathsInvocation } from "../invocation.ts";
import { say, warn } from "../say.ts";

export async function signPathsCommand(invocation: SignPathsInvocation, surroundings: Surroundings): Promise<number> {
  const { added, warnings } = await signStorePaths(invocation, surroundings);
  for (const warning of warnings) warn(warning);
  if (invocation.verbosity >= 0) say(`added ${added} signatures`);
  return 0;
}
