// Which algorithms to offer an SSH server, in which order: fast ciphers first, known host key types first, nothing the user forbids.
import { EngineError } from "../../../base/errors.ts";
import type { SshHostConfig } from "../config/ssh-config.ts";
import { cannotConnect } from "../ssh-errors.ts";

/** AES-GCM first: OpenSSH's own default, chacha20, costs twice the processor time here. */
const CIPHERS = [
  "aes128-gcm@openssh.com",
  "aes256-gcm@openssh.com",
  "aes128-ctr",
  "aes192-ctr",
  "aes256-ctr",
  "chacha20-poly1305@openssh.com",
] as const;
const MACS = [
  "hmac-sha2-256-etm@openssh.com",
  "hmac-sha2-512-etm@openssh.com",
  "hmac-sha1-etm@openssh.com",
  "hmac-sha2-256",
  "hmac-sha2-512",
  "hmac-sha1",
] as const;
const KEX = [
  "curve25519-sha256",
  "curve25519-sha256@libssh.org",
  "ecdh-sha2-nistp256",
  "ecdh-sha2-nistp384",
  "ecdh-sha2-nistp521",
  "diffie-hellman-group-exchange-sha256",
  "diffie-hellman-group14-sha256",
  "diffie-hellman-group16-sha512",
  "diffie-hellman-group18-sha512",
] as const;
const HOST_KEYS = [
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "rsa-sha2-512",
  "rsa-sha2-256",
] as const;

/** The offer, in order of preference. */
export interface SshAlgorithms {
  readonly cipher: readonly (typeof CIPHERS)[number][];
  readonly hmac: readonly (typeof MACS)[number][];
  readonly kex: readonly (typeof KEX)[number][];
  readonly serverHostKey: readonly (typeof HOST_KEYS)[number][];
  readonly compress: readonly ("none" | "zlib@openssh.com" | "zlib")[];
}

/** The lists of the user's configuration, null when it sets none. */
export type AllowedAlgorithms = Pick<SshHostConfig, "ciphers" | "macs" | "kex" | "hostKeyAlgorithms">;

/**
 * The offer to a host. `keyTypes` are the types of the host's known keys (in known_hosts' words), so that the server is not asked for another
 * type. Throws SSH_NO_COMMON_ALGORITHM when the user's configuration leaves nothing this program supports.
 */
export function chooseAlgorithms(
  name: string,
  allowed: AllowedAlgorithms,
  keyTypes: readonly string[],
  compress: boolean,
): SshAlgorithms {
  const hostKeys = restrict(name, "HostKeyAlgorithms", HOST_KEYS, allowed.hostKeyAlgorithms);
  const wanted = hostKeys.filter((algorithm) =>
    keyTypes.includes(algorithm.startsWith("rsa-sha2") ? "ssh-rsa" : algorithm),
  );
  return {
    cipher: restrict(name, "Ciphers", CIPHERS, allowed.ciphers),
    hmac: restrict(name, "MACs", MACS, allowed.macs),
    kex: restrict(name, "KexAlgorithms", KEX, allowed.kex),
    serverHostKey: [...wanted, ...hostKeys.filter((algorithm) => !wanted.includes(algorithm))],
    compress: compress ? ["zlib@openssh.com", "zlib", "none"] : ["none"],
  };
}

function restrict<T extends string>(
  name: string,
  keyword: string,
  ours: readonly T[],
  allowed: readonly string[] | null,
): T[] {
  const left = allowed === null ? [...ours] : ours.filter((algorithm) => allowed.includes(algorithm));
  if (left.length > 0) return left;
  throw new EngineError(
    "config",
    "SSH_NO_COMMON_ALGORITHM",
    `${cannotConnect(name)}: ssh configuration: ${keyword}: expected at least one of ${ours.join(", ")}, found ${allowed?.join(", ")}`,
    { hint: `allow one of them for this host in ~/.ssh/config: ${keyword} +${ours[0]}` },
  );
}
