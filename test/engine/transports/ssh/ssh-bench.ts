// A workplace for SSH tests: a folder with an ssh configuration and known_hosts of its own, so that the invoking user's files play no part.
import { appendFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { systemClock } from "../../../../src/engine/base/clock.ts";
import { EngineError } from "../../../../src/engine/base/errors.ts";
import { Transports, type TransportsOptions } from "../../../../src/engine/transports/open.ts";
import {
  DEFAULT_SSH_LIMITS,
  parseSshAddress,
  type SshLimits,
  type SshNotice,
  type SshTarget,
} from "../../../../src/engine/transports/ssh/config/ssh-settings.ts";
import type { SshHost } from "../../../../src/engine/transports/ssh/ssh-host.ts";
import type { Transport } from "../../../../src/engine/transports/transport.ts";
import type { Sshd } from "../../../support/sshd.ts";
import { removeDirectory, temporaryDirectory } from "../../../support/temporary-directory.ts";

/** One such workplace. */
export interface SshBench {
  readonly directory: string;
  readonly configFile: string;
  readonly knownHosts: string;
  /** What was said without stopping a connection. */
  readonly notices: SshNotice[];
  /** Adds lines to the ssh configuration; the first value of a keyword wins. */
  readonly configure: (text: string) => void;
  /** Adds an alias with the sshd's key; its host key is known unless said otherwise. */
  readonly alias: (name: string, sshd: Sshd, options?: { readonly known?: boolean; readonly extra?: string }) => void;
  readonly transports: (
    overrides?: Partial<TransportsOptions> & { readonly sshLimits?: Partial<SshLimits> },
  ) => Transports;
  /** The shared connections to `[user@]host[:port]`. */
  readonly host: (authority: string, target?: Partial<SshTarget>, transports?: Transports) => SshHost;
  readonly dispose: () => void;
}

/** Makes an empty workplace. */
export function sshBench(): SshBench {
  const directory = temporaryDirectory("ssh");
  const configFile = join(directory, "config");
  const knownHosts = join(directory, "known_hosts");
  const notices: SshNotice[] = [];
  const opened: Transports[] = [];
  writeFileSync(configFile, `UserKnownHostsFile ${knownHosts}\nGlobalKnownHostsFile /dev/null\n`);
  writeFileSync(knownHosts, "");
  const transports: SshBench["transports"] = ({ sshLimits, ...overrides } = {}) => {
    const made = new Transports({
      clock: systemClock,
      environment: { ...process.env, SSH_AUTH_SOCK: "" },
      notice: (notice) => notices.push(notice),
      limits: { ...DEFAULT_SSH_LIMITS, ...sshLimits },
      ...overrides,
    });
    opened.push(made);
    return made;
  };
  return {
    directory,
    configFile,
    knownHosts,
    notices,
    configure: (text) => appendFileSync(configFile, `${text}\n`),
    alias: (name, sshd, { known = true, extra = "" } = {}) => {
      appendFileSync(
        configFile,
        `Host ${name}\n HostName ${sshd.host}\n Port ${sshd.port}\n User root\n IdentityFile ${sshd.userKey}\n IdentitiesOnly yes\n${extra}\n`,
      );
      if (known) appendFileSync(knownHosts, `${sshd.knownHostsLine()}\n`);
    },
    transports,
    host: (authority, target = {}, given = transports()) =>
      given.sshHost({
        destination: parseSshAddress(authority),
        sshKey: null,
        publicHostKey: null,
        compress: false,
        settings: { configFile, options: [] },
        ...target,
      }),
    dispose: () => {
      for (const one of opened) one.close();
      removeDirectory(directory);
    },
  };
}

/** Everything a transport's peer prints until it ends. */
export async function readAll(transport: Transport): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of transport.input) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** The output of a command over there. */
export async function runOn(host: SshHost, command: string): Promise<string> {
  return await readAll(await host.open(command));
}

/** The error something is refused with; fails where nothing is. */
export async function failure(promise: Promise<unknown>): Promise<EngineError> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(EngineError);
  return error as EngineError;
}
