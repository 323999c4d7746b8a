// The output of a command on a machine, read completely up to a limit.
import { endForcedServer } from "../../transports/remote-command.ts";
import type { Transport, TransportOpener } from "../../transports/transport.ts";

/** Runs the opener's command; does not read output beyond `mostBytes`. Throws the errors of opening, and the signal's reason. */
export async function commandOutput(opener: TransportOpener, mostBytes: number, signal: AbortSignal): Promise<string> {
  let transport: Transport | null = null;
  const abort = (): void => transport?.close();
  signal.addEventListener("abort", abort, { once: true });
  try {
    transport = await opener.open(signal);
    endForcedServer(transport);
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of transport.input) {
      chunks.push(chunk);
      size += chunk.length;
      if (size > mostBytes) break;
    }
    signal.throwIfAborted();
    return Buffer.concat(chunks).toString("utf8");
  } finally {
    signal.removeEventListener("abort", abort);
    transport?.close();
  }
}
