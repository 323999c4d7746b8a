// Which host and user names may be handed to ssh, by its own rules (OpenSSH 9.6, ssh.c: `valid_hostname`, `valid_ruser`; CVE-2023-51385).
//
// A ProxyCommand or a `Match exec` of the user's configuration puts them into a shell command line.

const BAD_HOST = /^-|['`"$\\;&<>|(){}/\s\u0000-\u001f\u007f]/;
const BAD_USER = /^-|['`"$;&<>|(){}\s\u0000-\u001f\u007f]|\\$/;

/** Whether ssh takes this for a host; never with what a shell would act on, nor as one of its flags. */
export function isSshHost(host: string): boolean {
  return host !== "" && !BAD_HOST.test(host);
}

/** Whether an address may name this user. A colon, which could only begin a password, is refused as well: SSH takes none from an address. */
export function isSshUser(user: string): boolean {
  return isConfiguredUser(user) && !/[/:]/.test(user);
}

/** Whether ssh takes this for a user where a configuration names it: some gateways are told the way by `user:host` there. */
export function isConfiguredUser(user: string): boolean {
  return user !== "" && !BAD_USER.test(user);
}
