// `ping-store`: says what answered at a store.
import { pingStore, type Surroundings } from "../../src/engine/index.ts";
import type { PingStoreInvocation } from "../invocation.ts";
import { print, printJson, warn } from "../say.ts";

/** Prints the answer on standard output; a store that does not answer is an error. */
export async function pingStoreCommand(invocation: PingStoreInvocation, surroundings: Surroundings): Promise<number> {
  const { description, warnings } = await pingStore(invocation.settingsOverrides, surroundings);
  for (const warning of warnings) warn(warning);
  const { uri, nixVersion, protocol, trusted } = description;
  if (invocation.json) {
    printJson({ url: uri, version: nixVersion, protocol, trusted });
    return 0;
  }
  const lines = [`Store URL: ${uri}`];
  if (nixVersion !== null) lines.push(`Version: ${nixVersion}`);
  lines.push(`Protocol: ${protocol}`);
  if (trusted !== null) lines.push(`Trusted: ${trusted ? 1 : 0}`);
  print(lines.join("\n"));
  return 0;
}
