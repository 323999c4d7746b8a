// What a run is given by whoever puts it together.
import type { Clock } from "../base/clock.ts";
import type { LoadedConfig } from "../config/load.ts";
import type { MachinesResult } from "../config/machine-list.ts";
import type { EvaluateBuildFile } from "../evaluate/evaluate.ts";
import type { Installable } from "../evaluate/installable.ts";
import type { EvaluationOptions } from "../evaluate/nix-options.ts";
import type { HookRunner } from "../scheduler/perform/driver-options.ts";
import type { OpenDestinationOptions } from "../stores/open/open-destination.ts";
import type { OutLinks } from "../stores/out-links.ts";
import type { DestinationStore } from "../stores/store.ts";
import type { SshSettings } from "../transports/ssh/config/ssh-settings.ts";
import type { TransportOpener } from "../transports/transport.ts";
import type { OpenRunHooks } from "./listeners/background-hooks.ts";

/** What a run is given. */
export interface BuildRunOptions {
  readonly config: LoadedConfig;
  readonly machines: MachinesResult;
  readonly installables: readonly Installable[];
  readonly evaluation: Omit<EvaluationOptions, "store">;
  readonly check: "no" | "valid" | "build";
  /** Differences are shown by diffoscope. */
  readonly diffoscope: boolean;
  /** The result links; null makes none. */
  readonly outLink: OutLinks | null;
  /** The profile that gets a generation; null: none. */
  readonly profile: string | null;
  /** See {@link BuildRunRequest}. */
  readonly holdWhenFailed: boolean;
  readonly dryRun: boolean;
  readonly clock: Clock;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly program: string;
  readonly runId: string;
  readonly sshSettings: SshSettings;
  readonly stores: Pick<OpenDestinationOptions, "openEmbedded" | "openOwnCaches">;
  readonly evaluateBuildFile: (store: DestinationStore) => EvaluateBuildFile;
  readonly hooks: HookRunner;
  readonly openHookQueue: OpenRunHooks;
  readonly wrapOpener: (opener: TransportOpener) => TransportOpener;
}
