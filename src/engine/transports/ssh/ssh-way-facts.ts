// Reads the files that decide whether a route needs the ssh program: certificates and security keys beside the keys, known_hosts.
import { readFile, stat } from "node:fs/promises";
import type { LoadedSshConfig } from "./config/ssh-config-load.ts";
import type { SshTarget } from "./config/ssh-settings.ts";
import { isBinaryRevocationList, readKnownHosts } from "./keys/host-key-files.ts";
import { knownHostName } from "./keys/known-hosts.ts";
import { programReasons } from "./ssh-way.ts";

/** One host of a route. */
export interface WayLeg {
  readonly target: SshTarget;
  readonly config: LoadedSshConfig;
}

/** Why a route needs the ssh program, for any of its hosts; empty: this program can connect, or there is no ssh program. */
export async function whyProgram(legs: readonly WayLeg[]): Promise<string[]> {
  if (legs.at(-1)?.config.program === null) return [];
  const found = await Promise.all(legs.map(reasonsOf));
  return [...new Set(found.flat())];
}

/** Whether the ssh program may have ways to log in that this program lacks: see {@link LoadedSshConfig}, and security keys under ssh's default names. */
export async function hasOtherLogins(legs: readonly WayLeg[]): Promise<boolean> {
  if (legs.some(({ config }) => config.hasOtherLogins)) return true;
  const files = legs.flatMap(({ config }) => config.identityFiles);
  return (await Promise.all(files.map(({ path }) => isSecurityKey(path)))).includes(true);
}

async function reasonsOf({ target, config }: WayLeg): Promise<string[]> {
  const securityKeys: string[] = [];
  const certificates: string[] = [];
  for (const { path, explicit } of config.identityFiles) {
    if (await isFile(`${path}-cert.pub`)) certificates.push(`${path}-cert.pub`);
    // A default key of ssh may need a touch, so it is used only when named by the user, or when nothing else works.
    if (explicit && (await isSecurityKey(path))) securityKeys.push(path);
  }
  const { revokedHostKeys } = config;
  const hasList = revokedHostKeys !== null && (await isBinaryRevocationList(revokedHostKeys));
  return programReasons({
    settings: [...config.onlyOpenSsh, ...(hasList ? ["RevokedHostKeys"] : [])],
    securityKeys,
    certificates,
    knownHosts: await readKnownHosts(config),
    knownName: config.hostKeyAlias?.toLowerCase() ?? knownHostName(config.host, config.port),
    isPinned: target.publicHostKey !== null,
  });
}

/** The lines of the key in the machine list. */
export function pinnedLines({ publicHostKey }: SshTarget): string[] {
  if (publicHostKey === null) return [];
  const text = Buffer.from(publicHostKey, "base64").toString("latin1");
  return text.split("\n").flatMap((line) => {
    const [type, body] = line.trim().split(/[ \t]+/);
    return type === undefined || body === undefined ? [] : [`${type} ${body}`];
  });
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (facts) => facts.isFile(),
    () => false,
  );
}

/** Whether the public half, which always lies beside such a key, is `sk-ssh-ed25519@openssh.com …`. */
async function isSecurityKey(path: string): Promise<boolean> {
  const text = await readFile(`${path}.pub`, "latin1").catch(() => "");
  return /^sk-/.test(text);
}
