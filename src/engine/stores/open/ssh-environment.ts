// Reads the SSH settings of the environment.
import { parseSshOptions } from "../../config/ssh-options.ts";
import { NO_SSH_SETTINGS, type SshSettings, settingsFromOptions } from "../../transports/ssh/config/ssh-settings.ts";

/** NIX_SSHOPTS, as far as it can be honoured. */
export function readSshOptions(environment: Readonly<Record<string, string | undefined>>): {
  readonly sshSettings: SshSettings;
  readonly warnings: readonly string[];
} {
  const text = environment.NIX_SSHOPTS ?? "";
  if (text === "") return { sshSettings: NO_SSH_SETTINGS, warnings: [] };
  const { options, warnings } = parseSshOptions(text);
  return { sshSettings: settingsFromOptions(options), warnings };
}
