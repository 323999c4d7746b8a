// How long a program at the other end may take to greet, so that one that never does is not waited for indefinitely.
import type { Clock } from "../base/clock.ts";
import { EngineError } from "../base/errors.ts";
import type { Transport } from "../transports/transport.ts";

/** From the start of the remote command to the end of the handshake, in ms: enough for slow logins and loaded machines. */
export const HANDSHAKE_MS = 30_000;

/** The time limit of one handshake. */
export interface HandshakeLimit {
  /** Call when the handshake is over. */
  readonly end: () => void;
  /** The error if the time ran out, else null. */
  readonly failure: () => EngineError | null;
}

/** Closes the transport when its handshake takes too long. */
export function limitHandshake(transport: Transport, peer: string, clock: Clock): HandshakeLimit {
  let failure: EngineError | null = null;
  const end = clock.after(HANDSHAKE_MS, () => {
    const said = transport.stderrTail().trim();
    failure = new EngineError(
      "transport",
      "PROTOCOL_NO_GREETING",
      `${peer}: expected a greeting within ${HANDSHAKE_MS / 1000} s, found nothing${said === "" ? "" : `; it printed: ${said.slice(-400)}`}`,
      { hint: "the login works, but the remote command does not answer: run it there by hand (nix-daemon --stdio)" },
    );
    transport.close();
  });
  return { end, failure: () => failure };
}
