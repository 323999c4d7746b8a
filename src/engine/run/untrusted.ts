// What is said before the first build of what the local daemon will not do for this user.
import type { EngineEvent } from "../events/event.ts";

type Notice = Extract<EngineEvent, { type: "noticeRaised" }>;

/** What is known of the store the results come into. */
export interface DestinationFacts {
  readonly kind: "nix" | "embedded";
  readonly description: { readonly trusted: boolean | null };
  /** Settings of the user that it will not heed. */
  readonly unheeded: readonly string[];
}

/** All that is to be said of a destination before its first build. */
export function destinationNotices(
  store: string,
  { kind, description, unheeded }: DestinationFacts,
): readonly Notice[] {
  return [
    ...(description.trusted === false ? [noticeUntrusted(store)] : []),
    ...(unheeded.length > 0 ? [noticeUnheeded(store, unheeded, kind)] : []),
  ];
}

/**
 * A daemon takes unsigned outputs of other machines from trusted users only (Nix manual, `trusted-users`). Local builds, substitution and
 * content-addressed results go on; everything else stays on this machine.
 */
function noticeUntrusted(store: string): Notice {
  return {
    type: "noticeRaised",
    cause: null,
    level: "warning",
    code: "STORE_NOT_TRUSTED",
    message: `the Nix daemon of store '${store}' does not trust this user: results of other machines can be taken in only when they are content-addressed; everything else is built on this machine`,
    hint: "add this user to trusted-users in the daemon's nix.conf, " + "or keep a store of your own: --store ~/my-nix",
    machine: null,
    goal: null,
  };
}

/** Settings that were given here, and that hold only where they stand in the daemon's own nix.conf. */
function noticeUnheeded(store: string, names: readonly string[], kind: "nix" | "embedded"): Notice {
  if (kind === "embedded") {
    return {
      type: "noticeRaised",
      cause: null,
      level: "warning",
      code: "STORE_SETTINGS_UNHEEDED",
      message: `this program's own store has no use for ${names.map((name) => `'${name}'`).join(", ")}`,
      hint: "see docs/SETTINGS.md; a store of Nix heeds it",
      machine: null,
      goal: null,
    };
  }
  const these = names.map((name) => `'${name}'`).join(", ");
  return {
    type: "noticeRaised",
    cause: null,
    level: "warning",
    code: "STORE_SETTINGS_UNHEEDED",
    message: `the Nix daemon of store '${store}' will not heed ${these} as set here: it takes ${names.length === 1 ? "that" : "those"} from its own nix.conf only`,
    hint: "set it in the daemon's nix.conf, or keep a store of your own: --store ~/my-nix",
    machine: null,
    goal: null,
  };
}
