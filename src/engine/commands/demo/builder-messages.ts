// What the demo and its builder processes say to each other.
import type { SshKeyPair } from "../../transports/ssh/keys/ssh-key-pair.ts";

/** The first message to a builder's process. */
export interface BuilderRequest {
  /** Its store's root; removed at the end. */
  readonly root: string;
  /** Directory of the whole demo, removed by the builder when the demo has died without a word. */
  readonly base: string;
  readonly hostKey: SshKeyPair;
  /** Public key of the only client. */
  readonly clientKey: string;
  readonly system: string;
  readonly systemFeatures: readonly string[];
  /** Builds at once, as its own settings say. */
  readonly maxJobs: number;
  readonly sandboxPaths: readonly string[] | null;
}

/** What a builder's process answers. */
export type BuilderAnswer =
  | { readonly type: "listening"; readonly port: number }
  | { readonly type: "failed"; readonly message: string; readonly hint: string | null };

/** The last message to it. */
export const END_MESSAGE = "end";
