// Translates the ssh program's messages about a failed login to this program's failures: code, message and hint.
import { EngineError } from "../../base/errors.ts";
import { cannotConnect } from "./ssh-errors.ts";

const KINDS: readonly (readonly [RegExp, string, string | null])[] = [
  [
    /REMOTE HOST IDENTIFICATION HAS CHANGED|Offending .* key in/i,
    "SSH_HOST_KEY_CHANGED",
    "somebody may be listening in; if the machine was set up anew, remove its line (ssh-keygen -R) and connect once by hand",
  ],
  [/revoked/i, "SSH_HOST_KEY_REVOKED", "give the machine another host key; a revoked one must not be used"],
  [
    /Host key verification failed|No .* host key is known/i,
    "SSH_HOST_KEY_UNKNOWN",
    "connect once by hand, or have its authority in known_hosts (@cert-authority)",
  ],
  [/Permission denied|Too many authentication failures/i, "SSH_KEY_REJECTED", null],
  [
    /no matching .* found|Unable to negotiate/i,
    "SSH_NO_COMMON_ALGORITHM",
    "see Ciphers, MACs, KexAlgorithms and HostKeyAlgorithms",
  ],
  [
    /Could not resolve hostname/i,
    "SSH_HOST_NOT_FOUND",
    "check the name, the network, and HostName of an alias in ~/.ssh/config",
  ],
  [/Connection refused/i, "SSH_REFUSED", "is sshd running there, and is the port right?"],
  [/timed out/i, "SSH_TIMEOUT", "is the machine up, and does a firewall drop the port?"],
  [/No route to host|Network is unreachable/i, "SSH_NO_ROUTE", "is the network (or the VPN) up?"],
  [/Bad configuration option|bad configuration options/i, "SSH_CONFIG_BAD", null],
];

/** The failure behind the program's output. @param said its standard error, or why it could not be started */
export function masterFailure(name: string, said: string): EngineError {
  const lines = said
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !/^@+$/.test(line) && !line.startsWith("Warning: Permanently added"));
  const kind = KINDS.find(([pattern]) => pattern.test(said));
  const telling = kind === undefined ? lines.at(-1) : lines.findLast((line) => kind[0].test(line));
  return new EngineError(
    "transport",
    kind?.[1] ?? "SSH_FAILED",
    `${cannotConnect(name)}: ssh: ${telling ?? "ended without a word"}`,
    {
      hint: kind?.[2] ?? `ssh -v ${name} shows what the program tries`,
      ...(lines.length > 1 ? { cause: new Error(lines.join("; ")) } : {}),
    },
  );
}
