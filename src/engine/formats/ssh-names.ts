// Which host and user names may be passed to ssh, by its own rules (OpenSSH 9.6, ssh.c: `valid_hostname`, `valid_ruser`; CVE-2023-51385).
//
// A ProxyCommand or a `Match exec` in the user's configuration puts them into a shell command line.

const BAD_HOST = /^-|['`"$\\;&<>|(){}/\s\u0000-\u001f\u007f]/;
const BAD_USER = /^-|['`"$;&<>|(){}\s\u0000-\u001f\u007f]|\\$/;

/** Whether ssh accepts this as a host: nothing that a shell would interpret, and not one of its flags. */
export function isSshHost(host: string): boolean {
  return host !== "" && !BAD_HOST.test(host);
}

/** Whether an address may name this user. A colon, which could only precede a password, is refused too: SSH takes no password from an address. */
export function isSshUser(user: string): boolean {
  return isConfiguredUser(user) && !/[/:]/.test(user);
}

/** Whether ssh accepts this as a user from a configuration: some gateways use `user:host` there to choose the target. */
export function isConfiguredUser(user: string): boolean {
  return user !== "" && !BAD_USER.test(user);
}
