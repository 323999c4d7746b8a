// Reads NIX_SSHOPTS: the ssh options this program honours, and the names of those it does not.
import { EngineError } from "../base/errors.ts";
import { shellSplit } from "./shell-split.ts";

/** What NIX_SSHOPTS asks for. */
export interface SshOptions {
  readonly user: string | null;
  readonly port: number | null;
  readonly identityFiles: readonly string[];
  /** `-F`; null: the user's default file. */
  readonly configFile: string | null;
  /** `-J`, as written: `[user@]host[:port]`, separated by commas. */
  readonly proxyJump: string | null;
  /** `-o` settings of ssh_config by lower-case keyword; the first value given wins, as in ssh. */
  readonly settings: ReadonlyMap<string, string>;
}

export interface ParsedSshOptions {
  readonly options: SshOptions;
  /** The words to pass to OpenSSH's own programs (`ssh -G`). */
  readonly words: readonly string[];
  readonly warnings: readonly string[];
}

/** Keywords of ssh_config(5) honoured by this program, or by OpenSSH's client, which then connects to the machine. */
export const HONOURED_KEYWORDS: ReadonlySet<string> = new Set([
  "addressfamily",
  "batchmode",
  "bindaddress",
  "bindinterface",
  "certificatefile",
  "ciphers",
  "compression",
  "connectionattempts",
  "connecttimeout",
  "globalknownhostsfile",
  "gssapiauthentication",
  "gssapidelegatecredentials",
  "gssapikeyexchange",
  "hashknownhosts",
  "hostbasedauthentication",
  "hostkeyalgorithms",
  "hostkeyalias",
  "hostname",
  "identitiesonly",
  "identityagent",
  "identityfile",
  "kexalgorithms",
  "knownhostscommand",
  "loglevel",
  "macs",
  "passwordauthentication",
  "pkcs11provider",
  "port",
  "preferredauthentications",
  "proxycommand",
  "proxyjump",
  "proxyusefdpass",
  "pubkeyauthentication",
  "revokedhostkeys",
  "securitykeyprovider",
  "serveralivecountmax",
  "serveraliveinterval",
  "stricthostkeychecking",
  "tcpkeepalive",
  "user",
  "userknownhostsfile",
]);

/** Keywords with no effect here: there is no terminal, no forwarding and no shared master connection to set up. */
const WITHOUT_EFFECT: ReadonlySet<string> = new Set([
  "checkhostip",
  "clearallforwardings",
  "controlmaster",
  "controlpath",
  "controlpersist",
  "forwardagent",
  "forwardx11",
  "numberofpasswordprompts",
  "permitlocalcommand",
  "requesttty",
  "updatehostkeys",
]);

/** Flags of ssh(1) with an argument, and the equivalent keyword; null: not honoured. */
const FLAGS_WITH_ARGUMENT: ReadonlyMap<string, string | null> = new Map([
  ["p", "port"],
  ["l", "user"],
  ["i", "identityfile"],
  ["F", null],
  ["J", "proxyjump"],
  ["o", null],
  ["c", "ciphers"],
  ["m", "macs"],
  ["I", "pkcs11provider"],
  ["b", "bindaddress"],
  ["B", "bindinterface"],
  ..."DEeLOQRSWw".split("").map((flag) => [flag, null] as const),
]);

/** Flags without an argument that have no effect here. */
const IDLE_FLAGS = new Set("TtxXYaAknqvNn".split(""));

/**
 * Parses NIX_SSHOPTS: split like a shell does (Nix 2.26 and newer; older Nix splits at blanks, which differs only for quotes).
 * @throws EngineError `SSH_OPTIONS_MALFORMED` for an unbalanced quote, a missing argument or a bad port.
 */
export function parseSshOptions(text: string): ParsedSshOptions {
  const words = shellSplit(text);
  if (words === null) throw malformed(text, "balanced quotes");
  const settings = new Map<string, string>();
  const identityFiles: string[] = [];
  const warnings: string[] = [];
  let configFile: string | null = null;

  const assign = (keyword: string, value: string): void => {
    const key = keyword.toLowerCase();
    if (key === "identityfile") identityFiles.push(value);
    else if (HONOURED_KEYWORDS.has(key)) {
      if (!settings.has(key)) settings.set(key, value);
    } else if (!WITHOUT_EFFECT.has(key)) warnings.push(`NIX_SSHOPTS: the SSH option '${keyword}' is not honoured`);
  };

  for (let index = 0; index < words.length; index += 1) {
    const word = words[index] ?? "";
    if (!/^-[A-Za-z0-9]/.test(word)) {
      warnings.push(`NIX_SSHOPTS: '${word}' is not an option and is ignored`);
      continue;
    }
    for (let at = 1; at < word.length; at += 1) {
      const flag = word[at] ?? "";
      const keyword = FLAGS_WITH_ARGUMENT.get(flag);
      if (keyword === undefined) {
        if (flag === "C") assign("Compression", "yes");
        else if (flag === "K") assign("GSSAPIAuthentication", "yes");
        else if (flag === "4" || flag === "6") assign("AddressFamily", flag === "4" ? "inet" : "inet6");
        else if (!IDLE_FLAGS.has(flag)) warnings.push(`NIX_SSHOPTS: the SSH flag '-${flag}' is not honoured`);
        continue;
      }
      const rest = word.slice(at + 1);
      if (rest === "") index += 1;
      const argument = rest === "" ? words[index] : rest;
      if (argument === undefined) throw malformed(text, `an argument behind '-${flag}'`);
      if (keyword !== null) assign(keyword, argument);
      else if (flag === "F") configFile = argument;
      else if (flag === "o") assign(...splitAssignment(argument, text));
      else warnings.push(`NIX_SSHOPTS: the SSH flag '-${flag}' is not honoured`);
      break;
    }
  }

  const port = settings.get("port");
  if (port !== undefined && !(/^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65535)) {
    throw malformed(text, `a port from 1 to 65535, not '${port}'`);
  }
  const options: SshOptions = {
    user: settings.get("user") ?? null,
    port: port === undefined ? null : Number(port),
    identityFiles,
    configFile,
    proxyJump: settings.get("proxyjump") ?? null,
    settings,
  };
  return { options, words, warnings };
}

/** `Key=Value`, `Key Value` or `Key = "Value"`, as ssh_config(5) allows after `-o`. */
function splitAssignment(argument: string, text: string): [keyword: string, value: string] {
  const match = /^\s*([A-Za-z0-9]+)\s*[=\s]\s*(.*?)\s*$/s.exec(argument);
  if (match === null) throw malformed(text, `'KEYWORD=VALUE' behind '-o', not '${argument}'`);
  return [match[1] ?? "", (match[2] ?? "").replace(/^"(.*)"$/s, "$1")];
}

function malformed(text: string, expected: string): EngineError {
  return new EngineError(
    "config",
    "SSH_OPTIONS_MALFORMED",
    `NIX_SSHOPTS: expected ${expected}, found '${text.slice(0, 300)}'`,
    { hint: "NIX_SSHOPTS holds options as ssh(1) takes them, such as: -p 2222 -i /root/key" },
  );
}
