// Loads a host's ssh configuration: from `ssh -G` where OpenSSH's client is installed, else by our own small reader.
import { execFile } from "node:child_process";
import { globSync, readFileSync, statSync } from "node:fs";
import { hostname, userInfo } from "node:os";
import { EngineError } from "../../../base/errors.ts";
import { cannotConnect } from "../ssh-errors.ts";
import {
  type LocalFacts,
  parseSshDump,
  readSshKeywords,
  type SshHostConfig,
  type SshKeywords,
  unsupportedSettings,
} from "./ssh-config.ts";
import { readSshConfigFiles } from "./ssh-config-file.ts";
import { checkSshDestination, type SshNotice, type SshOption, type SshTarget, sshName } from "./ssh-settings.ts";

/** `ssh -G` runs the user's own `Match exec` commands, which must not run indefinitely. */
const SSH_G_TIMEOUT_MS = 10_000;
const MAX_OUTPUT = 1024 * 1024;
const MAX_CONFIG_FILE = 1024 * 1024;
/** ssh's default key files that need no hardware, in ssh's order. */
const FALLBACK_IDENTITIES = ["id_rsa", "id_ecdsa", "id_ed25519"];

/** How to load the configuration. */
export interface ConfigLoadOptions {
  readonly local: LocalFacts;
  /** OpenSSH's client, usually `ssh`; null to use our own reader. */
  readonly sshProgram: string | null;
  readonly notice: (notice: SshNotice) => void;
}

/** The invoking user and this machine. ssh takes the home directory from the user database, not from HOME. */
export function localFacts(environment: Readonly<Record<string, string | undefined>>): LocalFacts {
  const uid = process.getuid?.() ?? -1;
  const { homedir: home, username: user } = accountOf(uid, environment);
  return { home, user, uid, hostName: hostname(), environment };
}

/** Only the environment knows an account that is in no user database, as in containers. */
function accountOf(
  uid: number,
  { HOME, USER, LOGNAME }: Readonly<Record<string, string | undefined>>,
): { readonly homedir: string; readonly username: string } {
  try {
    return userInfo();
  } catch {
    return { homedir: HOME ?? "/", username: USER ?? LOGNAME ?? String(uid) };
  }
}

/** The configuration of a host, and how to ask OpenSSH's own program for the same. */
export interface LoadedSshConfig extends SshHostConfig {
  /** The program it came from, and the words that lead the program to the host; null without a program. */
  readonly program: { readonly path: string; readonly words: readonly string[] } | null;
  /** Settings in use that only OpenSSH honours. */
  readonly onlyOpenSsh: readonly string[];
  /** Whether there may be more ways to log in, unknown to this program. */
  readonly hasOtherLogins: boolean;
}

/** The configuration for one target. Throws SSH_BAD_HOST or SSH_CONFIG_BAD. */
export async function loadSshConfig(target: SshTarget, options: ConfigLoadOptions): Promise<LoadedSshConfig> {
  const address = checkSshDestination(target.destination);
  const name = sshName(address);
  const first: SshOption[] = [];
  if (address.user !== null) first.push({ keyword: "User", value: address.user });
  if (address.port !== null) first.push({ keyword: "Port", value: String(address.port) });
  if (target.sshKey !== null) first.push({ keyword: "IdentityFile", value: target.sshKey });
  first.push(...target.settings.options);

  const words = programWords(target, first);
  const asked = options.sshProgram === null ? null : await askSsh(options.sshProgram, target, words, options.local);
  const keywords = asked ?? readFiles(target, first, options);
  const unsupported = unsupportedSettings(keywords);
  const program = asked === null || options.sshProgram === null ? null : { path: options.sshProgram, words };
  if (unsupported.length > 0 && program === null) {
    options.notice({
      code: "SSH_SETTING_IGNORED",
      message: `the ssh configuration of '${name}' uses ${unsupported.join(", ")}, which this program does not support`,
      hint: "install OpenSSH's client: such machines are reached through it",
    });
  }
  const config = readSshKeywords(keywords, name, address.host, options.local);
  const hasGssapi = keywords.get("gssapiauthentication")?.[0] === "yes";
  return {
    ...config,
    program,
    onlyOpenSsh: unsupported,
    hasOtherLogins: hasGssapi || config.agentSocket !== null,
  };
}

/** The arguments of `ssh` for a target; the destination is the last word. */
function programWords(target: SshTarget, first: readonly SshOption[]): string[] {
  const file = target.settings.configFile;
  return [...(file === null ? [] : ["-F", file]), ...first.flatMap(asArgument), "--", target.destination.host];
}

async function askSsh(
  program: string,
  target: SshTarget,
  words: readonly string[],
  local: LocalFacts,
): Promise<SshKeywords | null> {
  const { host } = target.destination;
  const args = ["-G", "-T", ...words];
  const environment = { ...local.environment };
  const result = await new Promise<{
    stdout: string;
    stderr: string;
    error: (Error & { readonly code?: unknown }) | null;
  }>((resolve) => {
    const child = execFile(
      program,
      args,
      { timeout: SSH_G_TIMEOUT_MS, maxBuffer: MAX_OUTPUT, env: environment },
      (error, stdout, stderr) => resolve({ stdout, stderr, error }),
    );
    child.stdin?.end();
  });
  if (result.error === null) return parseSshDump(result.stdout);
  if (result.error.code === "ENOENT") return null;
  const said = result.stderr
    .trim()
    .split("\n")
    .filter((line) => !line.startsWith("Pseudo-terminal"))
    .join("; ");
  throw new EngineError(
    "config",
    "SSH_CONFIG_BAD",
    `${cannotConnect(sshName(target.destination))}: ssh configuration: ${said === "" ? result.error.message : said}`,
    { hint: `ssh -G ${host} shows the same`, cause: result.error },
  );
}

/** `-o Keyword=value`; file names with blanks need quotes, which ssh removes again. */
function asArgument(option: SshOption): [string, string] {
  const isFile = /^(?:identityfile|identityagent|certificatefile|pkcs11provider|revokedhostkeys)$/i.test(
    option.keyword,
  );
  const value = isFile && /\s/.test(option.value) && !option.value.startsWith('"') ? `"${option.value}"` : option.value;
  return ["-o", `${option.keyword}=${value}`];
}

function readFiles(target: SshTarget, first: readonly SshOption[], options: ConfigLoadOptions): SshKeywords {
  const { local } = options;
  const { host, user } = target.destination;
  const chosen = target.settings.configFile;
  const files =
    chosen === null ? [`${local.home}/.ssh/config`, "/etc/ssh/ssh_config"] : chosen === "none" ? [] : [chosen];
  const answer = readSshConfigFiles(
    files,
    first,
    { host, user, localUser: local.user },
    {
      read: readSmallFile,
      expand: (pattern, from) => {
        const tilde = pattern.startsWith("~/") ? `${local.home}/${pattern.slice(2)}` : pattern;
        const base = from.startsWith("/etc/") ? "/etc/ssh" : `${local.home}/.ssh`;
        const absolute = tilde.startsWith("/") ? tilde : `${base}/${tilde}`;
        return [...globSync(absolute)].sort();
      },
    },
  );
  for (const ignored of answer.ignored) {
    options.notice({
      code: "SSH_SETTING_IGNORED",
      message: `ssh configuration: ${ignored} is not understood`,
      hint: "install OpenSSH's client, which is then asked",
    });
  }
  const defaults: [string, string[]][] = [
    ["identityfile", FALLBACK_IDENTITIES.map((name) => `~/.ssh/${name}`)],
    ["userknownhostsfile", ["~/.ssh/known_hosts ~/.ssh/known_hosts2"]],
    ["globalknownhostsfile", ["/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"]],
  ];
  for (const [keyword, values] of defaults) if (!answer.keywords.has(keyword)) answer.keywords.set(keyword, values);
  return answer.keywords;
}

function readSmallFile(path: string): string | null {
  try {
    if (statSync(path).size > MAX_CONFIG_FILE) return null;
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}
