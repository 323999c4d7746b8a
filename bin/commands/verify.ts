// `verify`: prints what is wrong with paths as it is found; the exit status adds up what there was, as with `nix store verify`.
import { type Surroundings, verifyStorePaths } from "../../src/engine/index.ts";
import { untilInterrupted } from "../interrupted.ts";
import type { VerifyInvocation } from "../invocation.ts";
import { say, warn } from "../say.ts";

export function verifyCommand(invocation: VerifyInvocation, surroundings: Surroundings): Promise<number> {
  return untilInterrupted(
    async (signal) => {
      const report = {
        found: ({ message }: { readonly message: string }) => say(message),
        warned: warn,
      };
      const { checked, exitStatus } = await verifyStorePaths(invocation, surroundings, report, signal);
      if (exitStatus === 0 && invocation.verbosity > 0) say(`${checked} paths are whole`);
      return exitStatus;
    },
    () => say("stopping"),
  );
}
