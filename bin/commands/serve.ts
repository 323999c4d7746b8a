// `serve`: be a builder on standard input and output, for Nix and for this program.
import { type Surroundings, serveStore } from "../../src/engine/index.ts";
import type { ServeInvocation } from "../invocation.ts";

/** Serves one client; resolves with the exit status when it has hung up. @throws EngineError when the store cannot be opened */
export function serveCommand(invocation: ServeInvocation, surroundings: Surroundings): Promise<number> {
  const { settingsOverrides, protocol } = invocation;
  return serveStore({ settingsOverrides, protocol }, surroundings);
}
