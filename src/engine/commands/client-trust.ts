// Whether whoever runs `serve` may use it, and may do everything.
import { readFileSync, statSync } from "node:fs";
import { userInfo } from "node:os";
import { EngineError } from "../base/errors.ts";
import type { LoadedConfig } from "../config/load.ts";

/** The account `serve` runs as: SSH has logged the client in as that account, so it is the client. */
export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly groups: ReadonlySet<string>;
}

/**
 * Whether the account is trusted. Where `trusted-users` is set it decides (names, `@group`, `*`, as in Nix's manual); where it is not, root
 * and the owner of the store are, since they could write to the store without asking.
 * @param root root directory of the store
 * @throws EngineError `SERVE_NOT_ALLOWED` when `allowed-users` does not name the account
 */
export function isTrustedClient(config: LoadedConfig, root: string, account: Account = currentAccount()): boolean {
  const { allowedUsers, trustedUsers } = config.settings;
  const isTrusted = config.origins.has("trusted-users")
    ? isListed(trustedUsers, account)
    : account.uid === 0 || account.uid === statSync(root).uid;
  if (isTrusted || isListed(allowedUsers, account)) return isTrusted;
  throw new EngineError("store", "SERVE_NOT_ALLOWED", `user '${account.name}' is not allowed to use this store`, {
    hint: "name the user, or a group of the user as @group, in allowed-users of nix.conf",
  });
}

/** Whether a list of users and `@groups` names the account; `*` names everyone. */
export function isListed(list: readonly string[], account: Account): boolean {
  return list.some((word) =>
    word === "*" ? true : word.startsWith("@") ? account.groups.has(word.slice(1)) : word === account.name,
  );
}

function currentAccount(): Account {
  const uid = process.getuid?.() ?? -1;
  const ids = new Set([...(process.getgroups?.() ?? []), process.getgid?.() ?? -1]);
  return { name: accountName(uid), uid, groups: groupNames(ids) };
}

/** The number stands for an account without a name. */
function accountName(uid: number): string {
  try {
    return userInfo().username;
  } catch {
    return String(uid);
  }
}

/** Names of groups as group(5) has them; groups from elsewhere (LDAP) go by their numbers. */
function groupNames(ids: ReadonlySet<number>): Set<string> {
  const names = new Set([...ids].map(String));
  let text: string;
  try {
    text = readFileSync("/etc/group", "utf8");
  } catch {
    return names;
  }
  for (const line of text.split("\n")) {
    const [name, , id] = line.split(":");
    if (name !== undefined && id !== undefined && ids.has(Number(id))) names.add(name);
  }
  return names;
}
