// `delete`: deletes paths and says how much room that made.
import { deleteStorePaths, type Surroundings } from "../../src/engine/index.ts";
import { freedText } from "../freed-text.ts";
import type { DeleteInvocation } from "../invocation.ts";
import { print, warn } from "../say.ts";

/** Prints in Nix's words what was deleted; a path that is still alive is an error. */
export async function deleteCommand(invocation: DeleteInvocation, surroundings: Surroundings): Promise<number> {
  const { paths, bytesFreed, warnings } = await deleteStorePaths(invocation, surroundings);
  for (const warning of warnings) warn(warning);
  print(freedText(paths.length, bytesFreed));
  return 0;
}
