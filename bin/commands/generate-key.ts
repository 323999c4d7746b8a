// `generate-binary-cache-key`: makes a key pair; like Nix, it says nothing when that worked.
import { generateKey } from "../../src/engine/index.ts";
import type { GenerateKeyInvocation } from "../invocation.ts";

export async function generateKeyCommand(invocation: GenerateKeyInvocation): Promise<number> {
  await generateKey(invocation);
  return 0;
}
