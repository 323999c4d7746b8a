// What is asked about builds beside their log: derivations where their files can be read, and past durations.

/** What is known of a derivation beside its path: from its file, where that can be read. */
export interface KnownDerivation {
  readonly system: string;
  readonly requiredFeatures: readonly string[];
  readonly outputs: readonly string[];
  /** Derivations it needs. */
  readonly inputs: readonly string[];
}

/** What is asked about builds beside the log. */
export interface Knowledge {
  readonly derivation: (drvPath: string) => KnownDerivation | null;
  /** Usual duration in ms of a derivation name on a machine. */
  readonly expectedMs: (name: string, machine: string) => number | null;
}
