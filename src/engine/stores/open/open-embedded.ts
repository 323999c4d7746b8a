// Opens this program's own store with the user's settings; separate from runs, so that commands without a run load little.
import { readFileSync } from "node:fs";
import type { Clock } from "../../base/clock.ts";
import { EngineError, messageOf } from "../../base/errors.ts";
import type { LoadedConfig } from "../../config/load.ts";
import { type EmbeddedStore, openEmbeddedStore } from "../embedded/embedded-store.ts";
import { DEFAULT_EMBEDDED_SETTINGS, type SandboxProgram } from "../embedded/settings.ts";
import { openSubstituters } from "./open-substituters.ts";
import { readSshOptions } from "./ssh-environment.ts";

/** Opens an embedded store with the settings of the configuration. */
export async function openEmbedded(
  root: string,
  config: LoadedConfig,
  environment: Readonly<Record<string, string | undefined>>,
  clock: Clock,
  notice: (message: string) => void = () => undefined,
): Promise<EmbeddedStore> {
  const { settings } = config;
  const { sshSettings } = readSshOptions(environment);
  const substituters = openSubstituters({ config, environment, clock, sshSettings, notice });
  const store = await openEmbeddedStore({
    root,
    clock,
    random: Math.random,
    substituters: substituters.ports,
    settings: {
      ...DEFAULT_EMBEDDED_SETTINGS,
      system: settings.system,
      extraPlatforms: [...settings.extraPlatforms],
      systemFeatures: [...settings.systemFeatures],
      cores: settings.cores ?? 0,
      alwaysSubstitute: settings.alwaysAllowSubstitutes,
      requireSignatures: settings.requireSigs,
      trustedPublicKeys: [...settings.trustedPublicKeys],
      secretKeys: settings.secretKeyFiles.map(readKeyFile),
      sandboxPaths: settings.sandboxPaths.size === 0 ? null : [...settings.sandboxPaths],
      keepBuildLog: settings.keepBuildLog,
      keepDerivations: settings.keepDerivations,
      keepOutputs: settings.keepOutputs,
      environment,
      maxProcesses: settings.sandboxMaxProcesses,
      sandboxFallback: settings.sandboxFallback,
      sandboxProgram: sandboxProgram(environment.TSBUILD_TOP_SANDBOX),
    },
  });
  return substituters.closeWith(store);
}

/** The kind of sandbox, if the environment sets it; otherwise the first that works here. */
function sandboxProgram(text: string | undefined): SandboxProgram {
  if (text === undefined || text === "") return "auto";
  const known = (["auto", "bwrap", "unshare", "chroot"] as const).find((program) => program === text);
  if (known !== undefined) return known;
  throw new EngineError(
    "config",
    "SANDBOX_UNKNOWN",
    `TSBUILD_TOP_SANDBOX: expected auto, bwrap, unshare or chroot, found '${text.slice(0, 100)}'`,
    { hint: "unset it; the best that works here is used then" },
  );
}

function readKeyFile(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch (error) {
    throw new EngineError(
      "config",
      "SECRET_KEY_UNREADABLE",
      `secret-key-files: cannot read '${path}': ${messageOf(error)}`,
      {
        hint: "make one with: tsbuild-top generate-binary-cache-key NAME SECRET-FILE PUBLIC-FILE",
        cause: error,
      },
    );
  }
}
