// How each place of a store is reached: by a unix socket, a program on this machine, or SSH.
import type { Clock } from "../base/clock.ts";
import { childProcessOpener } from "./child-process.ts";
import { makeOpener } from "./opener.ts";
import { type RemoteNix, remoteNixCommand, remoteNixWords } from "./remote-command.ts";
import { localFacts } from "./ssh/config/ssh-config-load.ts";
import {
  checkSshDestination,
  DEFAULT_SSH_LIMITS,
  type SshLimits,
  type SshNotice,
  type SshTarget,
  sshName,
} from "./ssh/config/ssh-settings.ts";
import { SshHost } from "./ssh/ssh-host.ts";
import { SshNetwork } from "./ssh/ssh-network.ts";
import type { TransportOpener } from "./transport.ts";
import { unixSocketOpener } from "./unix-socket.ts";

/** Where a server is. */
export type TransportPlace =
  | { readonly type: "unixSocket"; readonly path: string }
  | { readonly type: "childProcess"; readonly command: readonly [string, ...string[]] }
  | { readonly type: "ssh"; readonly target: SshTarget; readonly service: SshService };

/** What to connect to on the other side of an SSH connection. */
export type SshService =
  | { readonly type: "nix"; readonly nix: RemoteNix }
  | { readonly type: "command"; readonly command: string }
  /** A unix socket on the remote machine, such as the Nix daemon's: no shell, no PATH. */
  | { readonly type: "socket"; readonly path: string };

/** What the transports of a run need. */
export interface TransportsOptions {
  readonly clock: Clock;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly notice: (notice: SshNotice) => void;
  readonly limits?: SshLimits;
  /** OpenSSH's client; default `ssh` of PATH, null to use none. */
  readonly sshProgram?: string | null;
  /** Milliseconds before a local program that does not exit gets SIGTERM. Default 2000. */
  readonly stopGraceMs?: number;
}

/** Makes openers; those of one machine share their SSH connections. One object per run. */
export class Transports {
  readonly #options: TransportsOptions;
  readonly #network: SshNetwork;
  readonly #hosts = new Map<string, SshHost>();

  constructor(options: TransportsOptions) {
    this.#options = options;
    this.#network = new SshNetwork({
      clock: options.clock,
      local: localFacts(options.environment),
      sshProgram: options.sshProgram === undefined ? "ssh" : options.sshProgram,
      limits: options.limits ?? DEFAULT_SSH_LIMITS,
      notice: options.notice,
    });
  }

  /**
   * An opener for a place. Nothing is opened or checked yet. For exactly `localhost` with a `remote-program`, runs that program here without
   * SSH, as Nix does (ssh.cc, `fakeSSH`); without a `remote-program` it is an SSH host like any other.
   */
  opener(place: TransportPlace): TransportOpener {
    switch (place.type) {
      case "unixSocket":
        return unixSocketOpener(place.path);
      case "childProcess":
        return this.#child(place.command);
      case "ssh": {
        const { target, service } = place;
        if (service.type === "nix" && service.nix.program.length > 0 && sshName(target.destination) === "localhost") {
          return this.#child(remoteNixWords(service.nix));
        }
        return this.#overSsh(target, service);
      }
    }
  }

  /** The shared connections to a host; the same object for the same target. Throws SSH_BAD_HOST. */
  sshHost(target: SshTarget): SshHost {
    checkSshDestination(target.destination);
    const key = JSON.stringify(target);
    const known = this.#hosts.get(key);
    if (known !== undefined) return known;
    const host = new SshHost({
      name: sshName(target.destination),
      login: (signal) => this.#network.connect(target, signal),
      channelsPerConnection: (this.#options.limits ?? DEFAULT_SSH_LIMITS).channelsPerConnection,
    });
    this.#hosts.set(key, host);
    return host;
  }

  /** Ends every SSH connection of this run. The owners of openers for sockets and programs close them. */
  close(): void {
    for (const host of this.#hosts.values()) host.close();
    this.#hosts.clear();
  }

  #child(command: readonly [string, ...string[]]): TransportOpener {
    const { clock, environment, stopGraceMs } = this.#options;
    return childProcessOpener({ command, environment, clock, stopGraceMs: stopGraceMs ?? 2000 });
  }

  #overSsh(target: SshTarget, service: SshService): TransportOpener {
    return makeOpener({
      name: sshName(target.destination),
      heard: () => this.sshHost(target).heard,
      openOne: (signal) => {
        const host = this.sshHost(target);
        switch (service.type) {
          case "nix":
            return host.open(remoteNixCommand(service.nix), signal);
          case "command":
            return host.open(service.command, signal);
          case "socket":
            return host.openSocket(service.path, signal);
        }
      },
    });
  }
}
