// `verify`: prints what is wrong with paths as it is found; the exit status adds up what there was, as with `nix store verify`.
import { type Surroundings, verifyStorePaths } from "../src/engine/index.ts";
import { sanitizeText } from "../src/ui/index.ts";
import { untilInterrupted } from "./interrupted.ts";
import type { VerifyInvocation } from "./invocation.ts";

export function verifyCommand(invocation: VerifyInvocation, surroundings: Surroundings): Promise<number> {
  const say = (text: string): void => void process.stderr.write(`${sanitizeText(text)}\n`);
  return untilInterrupted(
    async (signal) => {
      const report = {
        found: ({ message }: { readonly message: string }) => say(message),
        warned: (message: string) => say(`warning: ${message}`),
      };
      const { checked, exitStatus } = await verifyStorePaths(invocation, surroundings, report, signal);
      if (exitStatus === 0 && invocation.verbosity > 0) say(`${checked} paths are whole`);
      return exitStatus;
    },
    () => say("stopping"),
  );
}
