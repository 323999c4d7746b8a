// Which connections need the ssh program: settings that only OpenSSH honours, and failures that it may avoid.
import type { EngineError } from "../../base/errors.ts";
import { type KnownHost, matchesHost } from "./keys/known-hosts.ts";

/** What is known about one host of the route. */
export interface SshWayFacts {
  /** Settings in use that this program does not know: `CertificateFile`, `PKCS11Provider`… */
  readonly settings: readonly string[];
  /** Key files named by the user that need a security key. */
  readonly securityKeys: readonly string[];
  /** Certificates that lie beside key files (`id_ed25519-cert.pub`). */
  readonly certificates: readonly string[];
  readonly knownHosts: readonly KnownHost[];
  /** The name its key is listed under. */
  readonly knownName: string;
  /** The machine list names the key itself. */
  readonly isPinned: boolean;
}

/** Why only the ssh program can reach a host, in words; empty: this program can. */
export function programReasons(facts: SshWayFacts): string[] {
  const { settings, securityKeys, certificates, knownHosts, knownName, isPinned } = facts;
  const mine = knownHosts.filter(({ hosts }) => matchesHost(hosts, knownName));
  const isCertified = !isPinned && mine.some(({ marker }) => marker === "certAuthority");
  const isKnown = mine.some(({ marker }) => marker === "none");
  return [
    ...settings,
    ...securityKeys.map((file) => `security key ${file}`),
    ...certificates.map((file) => `certificate ${file}`),
    ...(isCertified && !isKnown ? ["@cert-authority"] : []),
  ];
}

/** Failures that the ssh program may avoid: it knows more algorithms, kinds of keys, and ways to log in. */
const MENDABLE = new Set(["SSH_NO_COMMON_ALGORITHM", "SSH_NO_IDENTITY", "SSH_KEY_UNREADABLE"]);

/**
 * Why the ssh program is worth a try after a failure, null if it would fail as well.
 * @param hasOtherLogins whether the configuration has ways to log in that this program lacks: GSSAPI, security keys, or an agent, which may hold certificates
 */
export function worthAnotherTry({ code }: EngineError, hasOtherLogins: boolean): string | null {
  if (code === "SSH_NO_COMMON_ALGORITHM") return "no algorithm in common without it";
  if (MENDABLE.has(code) || (code === "SSH_KEY_REJECTED" && hasOtherLogins)) return "no key could be used without it";
  return null;
}
