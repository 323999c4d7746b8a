// `sign-paths`: signs paths and says how many signatures were new.
import { type Surroundings, signStorePaths } from "../src/engine/index.ts";
import { sanitizeText } from "../src/ui/index.ts";
import type { SignPathsInvocation } from "./invocation.ts";

export async function signPathsCommand(invocation: SignPathsInvocation, surroundings: Surroundings): Promise<number> {
  const { added, warnings } = await signStorePaths(invocation, surroundings);
  for (const warning of warnings) process.stderr.write(`warning: ${sanitizeText(warning)}\n`);
  if (invocation.verbosity >= 0) process.stderr.write(`added ${added} signatures\n`);
  return 0;
}
