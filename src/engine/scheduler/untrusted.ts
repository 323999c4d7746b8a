// What is said to a user whom the local daemon does not trust, before the first build.
import type { EngineEvent } from "../events/event.ts";

/**
 * A daemon takes unsigned outputs of other machines from trusted users only (Nix manual, `trusted-users`). Local builds, substitution and
 * content-addressed results go on; everything else stays on this machine.
 */
export function noticeUntrusted(store: string): Extract<EngineEvent, { type: "noticeRaised" }> {
  return {
    type: "noticeRaised",
    level: "warning",
    code: "STORE_NOT_TRUSTED",
    message: `the Nix daemon of store '${store}' does not trust this user: results of other machines can be taken in only when they are content-addressed or signed by a trusted key; everything else is built on this machine`,
    hint:
      "let the machines sign what they build (secret-key-files there, trusted-public-keys here), or add this user to trusted-users in the daemon's nix.conf, " +
      "or keep a store of your own: --store ~/my-nix",
    machine: null,
    goal: null,
  };
}
