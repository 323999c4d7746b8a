// From a store reference to the transport place of its server.
import type { SshReference } from "../../config/store-reference.ts";
import type { TransportPlace } from "../../transports/open.ts";
import type { SshSettings, SshTarget } from "../../transports/ssh/config/ssh-settings.ts";

/** Which server to use over SSH. */
export type RemoteProtocol = "worker" | "serve";

/** Where SSH connects to, with the keys of the reference and the options of NIX_SSHOPTS. */
export function sshTarget(reference: SshReference, settings: SshSettings): SshTarget {
  const { destination, parameters } = reference;
  return {
    destination,
    sshKey: parameters.sshKey,
    publicHostKey: parameters.base64SshPublicHostKey,
    compress: parameters.compress,
    settings,
  };
}

/** The Nix server of an SSH reference. */
export function sshPlace(reference: SshReference, protocol: RemoteProtocol, settings: SshSettings): TransportPlace {
  const { remoteProgram: program, remoteStore: store } = reference.parameters;
  return {
    type: "ssh",
    target: sshTarget(reference, settings),
    service: { type: "nix", nix: { protocol, program, store } },
  };
}

/** A command on the same machine. */
export function sshCommandPlace(reference: SshReference, command: string, settings: SshSettings): TransportPlace {
  return { type: "ssh", target: sshTarget(reference, settings), service: { type: "command", command } };
}
