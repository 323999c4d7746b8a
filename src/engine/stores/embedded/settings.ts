// Which settings an embedded store honours; the caller that opens it supplies the values.

/** How builders are sandboxed: `auto` uses the first that works here. */
export type SandboxProgram = "auto" | "bwrap" | "unshare" | "chroot";

/** Settings of an embedded store; the names in parentheses are Nix's. */
export interface EmbeddedSettings {
  /** The system that builders run on (`system`). */
  readonly system: string;
  /** More systems that this machine runs (`extra-platforms`). */
  readonly extraPlatforms: readonly string[];
  /** What derivations may require (`system-features`). */
  readonly systemFeatures: readonly string[];
  /** `NIX_BUILD_CORES` unless a build sets it, 0 all of the machine (`cores`). */
  readonly cores: number;
  /** Whether to fetch even what its author excluded from substitution (`always-allow-substitutes`). */
  readonly alwaysSubstitute: boolean;
  /** Whether imported and substituted paths need a signature (`require-sigs`). */
  readonly requireSignatures: boolean;
  /** `name:base64` (`trusted-public-keys`). */
  readonly trustedPublicKeys: readonly string[];
  /** The contents of the key files that sign what is built here (`secret-key-files`). */
  readonly secretKeys: readonly string[];
  /** `target=source` or `path`, then `?` if it may be missing (`sandbox-paths`); null is the default: none. `/bin/sh` exists even if not listed. */
  readonly sandboxPaths: readonly string[] | null;
  /** Paths of this machine, including everything below, that derivations may ask for (`allowed-impure-host-deps`). */
  readonly allowedImpureHostDeps: readonly string[];
  readonly sandboxProgram: SandboxProgram;
  /** Whether a private root directory is enough when namespaces are not allowed (`sandbox-fallback`). */
  readonly sandboxFallback: boolean;
  /** Maximum number of processes and threads of a build, 0 for no limit (`sandbox-max-processes`); needs a static busybox. */
  readonly maxProcesses: number;
  /** Size of `/dev/shm` in builds, in the form of tmpfs (`sandbox-dev-shm-size`). */
  readonly shmSize: string;
  /** Whether logs are kept (`keep-build-log`). */
  readonly keepBuildLog: boolean;
  /** Whether a derivation lives while one of its outputs does (`keep-derivations`), and the reverse (`keep-outputs`). */
  readonly keepDerivations: boolean;
  readonly keepOutputs: boolean;
  /** Certificates for fixed-output builds that download (`ssl-cert-file`); null for none. */
  readonly certificateFile: string | null;
  /** The values of `impureEnvVars` of fixed-output derivations. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Tried by `builtin:fetchurl` before the address itself (`hashed-mirrors`). */
  readonly hashedMirrors: readonly string[];
}

/** Nix's defaults, except `system`, which the caller sets. */
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
