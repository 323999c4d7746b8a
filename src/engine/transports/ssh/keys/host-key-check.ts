// Whether to trust a server's host key: the machine list's keys alone decide if it has any, else known_hosts and StrictHostKeyChecking.
import { EngineError } from "../../../base/errors.ts";
import { cannotConnect } from "../ssh-errors.ts";
import {
  type KnownHost,
  keyFingerprint,
  keyTypeOf,
  knownHostName,
  knownKeyTypes,
  lookupHostKey,
} from "./known-hosts.ts";

/** StrictHostKeyChecking: `ask` counts as `yes`, because there is nobody to ask. */
export type StrictHostKeyChecking = "yes" | "acceptNew" | "no";

/** The facts for the check. */
export interface HostKeyQuestion {
  /** The machine as the user named it. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly hostKeyAlias: string | null;
  /** Keys of the machine list, empty when it has none: see {@link parsePublicHostKey}. */
  readonly pinned: readonly Buffer[];
  readonly knownHosts: readonly KnownHost[];
  /** `RevokedHostKeys`: refuses these keys, or all keys when the file cannot be read. */
  readonly revoked:
    | { readonly type: "keys"; readonly file: string; readonly keys: readonly Buffer[] }
    | { readonly type: "unreadable"; readonly file: string; readonly reason: string };
  /** The first of the user's known_hosts files, for new keys. Null (`UserKnownHostsFile none`): none, so ssh accepts no new keys. */
  readonly userFile: string | null;
  /** Whether host names are hashed in that file. */
  readonly hashed: boolean;
  readonly strict: StrictHostKeyChecking;
}

/** The verdict on one key. */
export type HostKeyAnswer =
  | { readonly type: "believed" }
  /** The user's own configuration says to continue; warn about it. */
  | { readonly type: "believedUnchecked"; readonly warning: string }
  /** The same, and the host was unknown: the key must be added to known_hosts. */
  | { readonly type: "believedNew"; readonly warning: string }
  | { readonly type: "refused"; readonly error: EngineError };

/** Key types to request from the server first, so that it presents a key that can be compared. */
export function preferredKeyTypes(question: HostKeyQuestion): string[] {
  if (question.pinned.length > 0) return question.pinned.flatMap((key) => keyTypeOf(key) ?? []);
  return knownKeyTypes(question.knownHosts, lookupName(question));
}

/** Judges the key a server has presented. */
export function checkHostKey(question: HostKeyQuestion, key: Buffer): HostKeyAnswer {
  const shown = `${keyTypeOf(key) ?? "unknown type"} ${keyFingerprint(key)}`;
  const revoked = checkRevoked(question, key, shown);
  if (revoked !== null) return revoked;
  if (question.pinned.length > 0) return checkPinned(question, key, shown);
  const name = lookupName(question);
  const verdict = lookupHostKey(question.knownHosts, name, key);
  const start = cannotConnect(question.name);
  switch (verdict.type) {
    case "ok":
      return { type: "believed" };
    case "revoked":
      return refused(
        "SSH_HOST_KEY_REVOKED",
        `${start}: its host key (${shown}) is revoked by ${verdict.place.file}:${verdict.place.line}`,
        "give the machine another host key; a revoked one must not be used",
      );
    case "changed":
      if (question.strict === "no")
        return accepted(
          "believedUnchecked",
          question,
          shown,
          `differs from ${verdict.place.file}:${verdict.place.line}`,
        );
      return refused(
        "SSH_HOST_KEY_CHANGED",
        `${start}: its host key has changed: it shows ${shown}, ${verdict.place.file}:${verdict.place.line} has another ${verdict.place.keyType} key`,
        `somebody may be listening in; if the machine was set up anew, remove line ${verdict.place.line} of ${verdict.place.file} ` +
          `(ssh-keygen -R '${name}' -f ${verdict.place.file}) and connect once by hand: ssh ${question.name}`,
      );
    case "unknown": {
      if (question.strict !== "yes" && question.userFile !== null)
        return accepted("believedNew", question, shown, "is not known yet");
      const nowhere =
        question.userFile === null ? "; with UserKnownHostsFile none there is no place to write it to" : "";
      const others = verdict.others.map((place) => `${place.keyType} at ${place.file}:${place.line}`);
      const authority = verdict.hasCertAuthority
        ? "; a @cert-authority line matches it, but only OpenSSH's own client, which is not installed, knows host certificates"
        : "";
      return refused(
        "SSH_HOST_KEY_UNKNOWN",
        `${start}: its host key is not known: it shows ${shown}${others.length === 0 ? "" : `, known are ${others.join(", ")}`}${authority}${nowhere}`,
        `compare the fingerprint, then connect once by hand (ssh ${question.name}), or add it: ` +
          `ssh-keyscan${question.port === 22 ? "" : ` -p ${question.port}`} ${question.host} >> ${question.userFile ?? "~/.ssh/known_hosts"}; ` +
          "or give the key, in base64, in the eighth field of the machines file",
      );
    }
  }
}

/**
 * The keys in a machine list's eighth column: base64 of a public key line `ssh-ed25519 AAAA… comment` (Nix manual, Remote Builds; several
 * lines are allowed). Throws SSH_HOST_KEY_BAD.
 */
export function parsePublicHostKey(name: string, base64: string): Buffer[] {
  const text = Buffer.from(base64, "base64").toString("latin1");
  const keys: Buffer[] = [];
  for (const line of text.split("\n").filter((part) => part.trim() !== "")) {
    const [type, body] = line.trim().split(/[ \t]+/);
    const key = Buffer.from(body ?? "", "base64");
    if (type === undefined || keyTypeOf(key) !== type) throw badPinned(name, base64);
    keys.push(key);
  }
  if (keys.length === 0) throw badPinned(name, base64);
  return keys;
}

function checkPinned(question: HostKeyQuestion, key: Buffer, shown: string): HostKeyAnswer {
  if (question.pinned.some((pinned) => pinned.equals(key))) return { type: "believed" };
  const expected = question.pinned
    .map((pinned) => `${keyTypeOf(pinned) ?? "?"} ${keyFingerprint(pinned)}`)
    .join(" or ");
  return refused(
    "SSH_HOST_KEY_CHANGED",
    `${cannotConnect(question.name)}: its host key is not the one of the machine list: it shows ${shown}, expected ${expected}`,
    "somebody may be listening in; if the machine was set up anew, put its key into the eighth field of the machines file: " +
      "base64 -w0 /etc/ssh/ssh_host_ed25519_key.pub",
  );
}

/** ssh_config, RevokedHostKeys. */
function checkRevoked({ name, revoked }: HostKeyQuestion, key: Buffer, shown: string): HostKeyAnswer | null {
  const hint = "see RevokedHostKeys in the ssh configuration";
  if (revoked.type === "unreadable") {
    const reason = `the list of revoked host keys ${revoked.file} ${revoked.reason}, so that no key is believed`;
    return refused("SSH_HOST_KEY_REVOKED", `${cannotConnect(name)}: ${reason}`, hint);
  }
  if (!revoked.keys.some((other) => other.equals(key))) return null;
  return refused(
    "SSH_HOST_KEY_REVOKED",
    `${cannotConnect(name)}: its host key (${shown}) is revoked by ${revoked.file}`,
    hint,
  );
}

/** The name a host's key is listed under. */
export function lookupName(question: HostKeyQuestion): string {
  return question.hostKeyAlias?.toLowerCase() ?? knownHostName(question.host, question.port);
}

function accepted(
  type: "believedUnchecked" | "believedNew",
  question: HostKeyQuestion,
  shown: string,
  why: string,
): HostKeyAnswer {
  const setting = question.strict === "no" ? "StrictHostKeyChecking=no" : "StrictHostKeyChecking=accept-new";
  return { type, warning: `the host key of '${question.name}' (${shown}) ${why}; accepted because of ${setting}` };
}

function refused(code: string, message: string, hint: string): HostKeyAnswer {
  return { type: "refused", error: new EngineError("transport", code, message, { hint }) };
}

function badPinned(name: string, base64: string): EngineError {
  return new EngineError(
    "config",
    "SSH_HOST_KEY_BAD",
    `${cannotConnect(name)}: public host key: expected base64 of a line like 'ssh-ed25519 AAAA…', found '${base64.slice(0, 60)}'`,
    { hint: "base64 -w0 /etc/ssh/ssh_host_ed25519_key.pub on the machine prints the right value" },
  );
}
