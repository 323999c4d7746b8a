// What of the configuration an embedded store heeds; the values are given by whoever opens it.

/** How builders are shut in: `auto` takes the first that works here. */
export type SandboxProgram = "auto" | "bwrap" | "unshare" | "chroot";

/** Settings of an embedded store; the names in brackets are Nix's. */
export interface EmbeddedSettings {
  /** The system builders run on (`system`). */
  readonly system: string;
  /** Further systems this machine runs (`extra-platforms`). */
  readonly extraPlatforms: readonly string[];
  /** What derivations may require (`system-features`). */
  readonly systemFeatures: readonly string[];
  /** `NIX_BUILD_CORES` where a build does not say, 0 all of the machine (`cores`). */
  readonly cores: number;
  /** Whether also what its author says is not to be fetched is (`always-allow-substitutes`). */
  readonly alwaysSubstitute: boolean;
  /** Whether imported and substituted paths need a signature (`require-sigs`). */
  readonly requireSignatures: boolean;
  /** `name:base64` (`trusted-public-keys`). */
  readonly trustedPublicKeys: readonly string[];
  /** The texts of the key files that sign what is built here (`secret-key-files`). */
  readonly secretKeys: readonly string[];
  /** `target=source`, `path`, either with `?` behind it when it may be missing (`sandbox-paths`); null is the default: none. `/bin/sh` is there unless it is named. */
  readonly sandboxPaths: readonly string[] | null;
  /** What derivations may ask to see of this machine, with everything below (`allowed-impure-host-deps`). */
  readonly allowedImpureHostDeps: readonly string[];
  readonly sandboxProgram: SandboxProgram;
  /** Whether a private root directory will do where namespaces are not allowed (`sandbox-fallback`). */
  readonly sandboxFallback: boolean;
  /** Processes and threads a build may have at once, 0 for as many as it likes (`sandbox-max-processes`); needs a static busybox. */
  readonly maxProcesses: number;
  /** Size of `/dev/shm` in builds as tmpfs takes it (`sandbox-dev-shm-size`). */
  readonly shmSize: string;
  /** Whether logs are kept (`keep-build-log`). */
  readonly keepBuildLog: boolean;
  /** Whether a derivation lives while an output of its does (`keep-derivations`), and the reverse (`keep-outputs`). */
  readonly keepDerivations: boolean;
  readonly keepOutputs: boolean;
  /** Certificates for fixed-output builds that download (`ssl-cert-file`); null for none. */
  readonly certificateFile: string | null;
  /** Where `impureEnvVars` of fixed-output derivations come from. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Tried by `builtin:fetchurl` before the address itself (`hashed-mirrors`). */
  readonly hashedMirrors: readonly string[];
}

/** Nix's defaults; `system` is left to the caller. */
export const DEFAULT_EMBEDDED_SETTINGS: Omit<EmbeddedSettings, "system"> = {
  extraPlatforms: [],
  systemFeatures: ["nixos-test", "benchmark", "big-parallel"],
  cores: 0,
  alwaysSubstitute: false,
  requireSignatures: true,
  trustedPublicKeys: [],
  secretKeys: [],
  sandboxPaths: null,
  allowedImpureHostDeps: ["/bin", "/sbin", "/usr", "/lib", "/lib32", "/lib64", "/libx32", "/etc/alternatives"],
  sandboxProgram: "auto",
  sandboxFallback: true,
  maxProcesses: 0,
  shmSize: "50%",
  keepBuildLog: true,
  keepDerivations: true,
  keepOutputs: false,
  certificateFile: null,
  environment: {},
  hashedMirrors: [],
};
