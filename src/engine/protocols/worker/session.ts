// One client of a worker server: what was agreed with it, its options, and the log of the current operation.
import type { StorePath } from "../../formats/store-path.ts";
import { ByteWriter } from "../../formats/wire/writer.ts";
import { tellBuild } from "../build-log.ts";
import type { ServedCall, StoreHandler } from "../handler.ts";
import { type LogFrame, writeLogFrame } from "../log-frame.ts";
import type { ServerConnection } from "../server-connection.ts";
import type { ClientOptions } from "./codec.ts";

/** Overrides an untrusted user may set (Nix: `ClientSettings::apply`). */
const HARMLESS = new Set(["timeout", "max-silent-time", "build-poll-interval", "connect-timeout"]);

/** A client and its rights. */
export class Session {
  readonly connection: ServerConnection;
  readonly handler: StoreHandler;
  readonly minor: number;
  readonly trusted: boolean;
  options: ClientOptions | null = null;
  #nextActivity: bigint;

  /** `firstActivity` is the id of the first activity reported; a real Nix uses its process id shifted by 32 bits. */
  constructor(
    connection: ServerConnection,
    handler: StoreHandler,
    minor: number,
    trusted: boolean,
    firstActivity: bigint,
  ) {
    this.connection = connection;
    this.handler = handler;
    this.minor = minor;
    this.trusted = trusted;
    this.#nextActivity = firstActivity;
  }

  /** Begins an operation: its log goes to the client until `end` is called, which stops the activities it began. */
  beginCall(): { readonly call: ServedCall; readonly end: () => void } {
    let open = true;
    const stops: (() => void)[] = [];
    const say = (frames: readonly LogFrame[]): void => {
      if (!open) return;
      const writer = new ByteWriter();
      for (const frame of frames) writeLogFrame(writer, frame, this.minor);
      if (writer.length > 0) this.connection.send(writer);
    };
    const call: ServedCall = {
      signal: this.connection.signal,
      trusted: this.trusted,
      options: this.options,
      notice: (message) => say([{ type: "next", text: `${message}\n` }]),
      building: (drvPath: StorePath) => {
        const { listener, stop } = tellBuild(drvPath, this.#nextActivity++, say);
        stops.push(stop);
        return listener;
      },
    };
    const end = (): void => {
      for (const stop of stops) stop();
      open = false;
    };
    return { call, end };
  }

  /** Applies options, without the overrides this client may not set; returns their names. */
  setOptions(options: ClientOptions): readonly string[] {
    const refused: string[] = [];
    const overrides = new Map<string, string>();
    for (const [name, value] of options.overrides) {
      if (this.trusted || HARMLESS.has(name) || (name === "builders" && value === "")) overrides.set(name, value);
      else refused.push(name);
    }
    this.options = { ...options, overrides };
    return refused;
  }
}
