// What every way of showing a run has in common: it is fed events, and it alone writes to the terminal.
import type { Clock } from "../../engine/base/clock.ts";
import type { PublishedEvent } from "../../engine/events/event.ts";
import type { RequestWithoutId } from "../model/view/view-state.ts";

/** A request before it has an id: whoever carries it to the engine numbers it. */
export type EngineRequestWithoutId = RequestWithoutId;

export interface Renderer {
  /** Takes the terminal, or writes what comes before the first event. */
  start(): void;
  /** Events in the order they were published. */
  accept(events: readonly PublishedEvent[]): void;
  /** A line that is not an event's: what the program must say about itself. */
  notice(message: string): void;
  /** Ctrl-C from outside (SIGINT, or the key in a cooked terminal): the first asks for a drain, the next for cancelling. */
  interrupt(): void;
  /** The program must end (SIGTERM, SIGHUP): a board that stays open for its user is left. */
  leave(): void;
  /** Writes the end (out paths on stdout, verdict on stderr) and gives the terminal back; waits for the user where a board stays open. */
  finish(): Promise<void>;
  /** Gives the terminal back at once, from an exit handler; safe to call at any time and twice. */
  restore(): void;
}

/** A stream that is written to. */
export interface OutputStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): boolean;
  on(event: "error", listener: (error: Error) => void): unknown;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** How much is said. */
export interface RenderOptions {
  /** `-L`: the log of every build, as it comes. */
  readonly printBuildLogs: boolean;
  /** Lines of log shown with a failure (Nix: `log-lines`). */
  readonly logLines: number;
  /** What prints the whole log of a derivation that is named after it. */
  readonly logCommand: string;
  /** `-v` counts up. */
  readonly verbosity: number;
  /** `--explain`: why each build went where it went. */
  readonly explain: boolean;
  /** Only ASCII on the board. */
  readonly ascii: boolean;
  /** `--no-out-paths` and commands that print something else. */
  readonly printOutPaths: boolean;
}

export const DEFAULT_OPTIONS: RenderOptions = {
  printBuildLogs: false,
  logLines: 10,
  logCommand: "nix log",
  verbosity: 0,
  explain: false,
  ascii: false,
  printOutPaths: true,
};

/** Controls of a replayed run, for the keys of the board. */
export interface ReplayControls {
  /** What is being replayed, for the header. */
  readonly name: string;
  state(): { readonly speed: number; readonly isPaused: boolean; readonly position: number; readonly length: number };
  setSpeed(speed: number): void;
  togglePause(): void;
  /** Jumps to a position in ms; events come again from the start when it lies behind. */
  jumpTo(position: number): void;
}

/** Everything a renderer may touch. */
export interface RendererPorts {
  readonly stdout: NodeJS.WriteStream | OutputStream;
  readonly stderr: NodeJS.WriteStream | OutputStream;
  readonly stdin: NodeJS.ReadStream;
  readonly env: Environment;
  readonly clock: Clock;
  readonly options: RenderOptions;
  readonly send: (request: EngineRequestWithoutId) => void;
  /** The reader of stdout or stderr went away (EPIPE): nothing more can be shown there. */
  readonly outputClosed: () => void;
  readonly replay: ReplayControls | null;
}
