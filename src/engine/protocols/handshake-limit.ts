// How long a program at the other end may take to greet: one that never does must not be waited for for ever.
import type { Clock } from "../base/clock.ts";
import { EngineError } from "../base/errors.ts";
import type { Transport } from "../transports/transport.ts";

/** From the start of the remote command to the end of the handshake, in ms: slow logins and loaded machines have their time. */
export const HANDSHAKE_MS = 30_000;

/** A handshake that is being watched. */
export interface HandshakeLimit {
  /** The handshake is over. */
  readonly end: () => void;
  /** What went wrong if it was the time, else null. */
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
