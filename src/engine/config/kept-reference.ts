// A store reference as it may be kept in a file: without passwords and tokens, which are looked up again in the current configuration.
import {
  parseStoreReference,
  printStoreReference,
  type ReferenceContext,
  type StoreReference,
} from "./store-reference.ts";

/** A reference without its secrets. */
export interface KeptReference {
  readonly text: string;
  /** Something was left out: the text alone does not identify the store. */
  readonly isPartial: boolean;
}

/**
 * The reference without user and password of its address, and without parameters that are not Nix's (such as a token). Directories become absolute.
 * Text that is not a reference is kept up to the `?`, without what comes before an `@`.
 */
export function keptReference(text: string, context: ReferenceContext): KeptReference {
  try {
    const { reference, unknown } = parseStoreReference(text, context);
    const open = withoutSecrets(reference);
    const isPartial = unknown.length > 0 || open !== reference;
    return { text: printStoreReference(open, "full"), isPartial };
  } catch {
    const kept = withoutUser(text.split("?", 1)[0] ?? "");
    return { text: kept, isPartial: kept !== text };
  }
}

/** The first of `candidates` for the same store as a kept reference; the reference itself when it is complete. Null: only the user knows it. */
export function wholeReference(
  kept: KeptReference,
  candidates: readonly string[],
  context: ReferenceContext,
): string | null {
  const whole = candidates.find((candidate) => keptReference(candidate, context).text === kept.text);
  return whole ?? (kept.isPartial ? null : kept.text);
}

function withoutSecrets(reference: StoreReference): StoreReference {
  switch (reference.type) {
    case "ssh": {
      const { destination } = reference;
      const colon = destination.user?.indexOf(":") ?? -1;
      if (destination.user === null || colon < 0) return reference;
      return { ...reference, destination: { ...destination, user: destination.user.slice(0, colon) || null } };
    }
    case "cache": {
      const { endpoint } = reference.parameters;
      const open = endpoint === null ? null : withoutUser(endpoint);
      if (reference.credentials === null && open === endpoint) return reference;
      return { ...reference, credentials: null, parameters: { ...reference.parameters, endpoint: open } };
    }
    default:
      return reference;
  }
}

function withoutUser(text: string): string {
  return text.replace(/^([a-z0-9+.-]*:\/\/)?[^/]*@/i, "$1");
}
