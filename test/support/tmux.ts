// Runs a program in a real terminal multiplexer of its own, to press its keys and read its screen as a user does.
import { join } from "node:path";
import { collect, outputOf, until } from "./processes.ts";
import { removeDirectory, temporaryDirectory } from "./temporary-directory.ts";

/** Options of {@link startTmux}. */
export interface TmuxOptions {
  readonly columns: number;
  readonly rows: number;
  /** The program's whole environment beside PATH, TERM and tmux's own variables. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** A program in its terminal. The pane stays after the program's end, so its last screen can be read. */
export interface TmuxSession {
  /** The program's process. */
  readonly pid: number;
  /** Keys by tmux's names ("Enter", "C-c", "Up"); anything else is typed as it is, one argument after the other. */
  readonly sendKeys: (...keys: readonly string[]) => Promise<void>;
  /** Types text literally, also when it is the name of a key. */
  readonly type: (text: string) => Promise<void>;
  /** The screen, one line per row, without trailing blanks; with escape sequences and scrollback when asked for. */
  readonly capture: (options?: { readonly colours?: boolean; readonly scrollback?: boolean }) => Promise<string>;
  /** Waits for text on the screen and returns that screen. Throws with the last screen when it does not come (10 s). */
  readonly waitFor: (text: string | RegExp, timeoutMs?: number) => Promise<string>;
  readonly resize: (columns: number, rows: number) => Promise<void>;
  /** A tmux format, for instance `#{alternate_on}` or `#{cursor_flag}`. */
  readonly ask: (format: string) => Promise<string>;
  /** Waits for the program's end: its exit status, or 128 + the signal's number. */
  readonly exited: (timeoutMs?: number) => Promise<number>;
  /** Ends the program and the server. May be called twice. */
  readonly kill: () => Promise<void>;
  readonly [Symbol.asyncDispose]: () => Promise<void>;
}

/** Starts the program at that size, in a server with its own socket and no configuration. */
export async function startTmux(command: readonly [string, ...string[]], options: TmuxOptions): Promise<TmuxSession> {
  const directory = temporaryDirectory("tmux");
  const socket = join(directory, "socket");
  const environment = {
    PATH: process.env.PATH ?? "/usr/bin:/bin",
    LANG: "C.UTF-8",
    TERM: "xterm-256color",
    ...options.env,
  };
  const tmux = (...args: string[]) =>
    outputOf("tmux", ["-S", socket, "-f", "/dev/null", ...args], { env: environment });
  const settings = [
    ["remain-on-exit", "on"],
    ["status", "off"],
    ["default-terminal", "tmux-256color"],
    ["default-size", `${options.columns}x${options.rows}`],
    ["escape-time", "0"],
    ["history-limit", "10000"],
  ].flatMap(([name, value]) => ["set-option", "-g", name ?? "", value ?? "", ";"]);
  const place = options.cwd === undefined ? [] : ["-c", options.cwd];
  const size = ["-x", `${options.columns}`, "-y", `${options.rows}`];
  const kill = async () => {
    await collect("tmux", ["-S", socket, "kill-server"], { env: environment });
    removeDirectory(directory);
  };
  try {
    await tmux("start-server", ";", ...settings, "new-session", "-d", "-s", "t", ...size, ...place, "--", ...command);
  } catch (error) {
    await kill();
    throw error;
  }

  const capture: TmuxSession["capture"] = async ({ colours = false, scrollback = false } = {}) => {
    const result = await collect(
      "tmux",
      ["-S", socket, "capture-pane", "-p", "-t", "t", ...(colours ? ["-e"] : []), ...(scrollback ? ["-S", "-"] : [])],
      { env: environment },
    );
    return result.stdout.replace(/\n+$/, "\n");
  };
  const ask = (format: string) => tmux("display-message", "-p", "-t", "t", format);
  return {
    pid: Number(await ask("#{pane_pid}")),
    sendKeys: async (...keys) => {
      await tmux("send-keys", "-t", "t", "--", ...keys);
    },
    type: async (text) => {
      await tmux("send-keys", "-t", "t", "-l", "--", text);
    },
    capture,
    waitFor: async (text, timeoutMs = 10_000) => {
      let screen = "";
      try {
        await until(
          `${text} on the screen`,
          async () => {
            screen = await capture();
            return typeof text === "string" ? screen.includes(text) : text.test(screen);
          },
          timeoutMs,
        );
      } catch (error) {
        throw new Error(`${error instanceof Error ? error.message : error}; it shows:\n${screen}`, { cause: error });
      }
      return screen;
    },
    resize: async (columns, rows) => {
      await tmux("resize-window", "-t", "t", "-x", `${columns}`, "-y", `${rows}`);
    },
    ask,
    exited: async (timeoutMs = 10_000) => {
      // The pane is dead a moment before tmux knows how its program ended.
      let end = "/";
      const known = async () => {
        const [dead, server, ...rest] = (
          await ask("#{pane_dead}/#{pid}/#{pane_dead_status}/#{pane_dead_signal}")
        ).split("/");
        end = rest.join("/");
        // Now and then tmux misses the signal of its child's end; it looks again when it gets one.
        if (dead === "1" && end === "/") process.kill(Number(server), "SIGCHLD");
        return end !== "/";
      };
      await until("the program to end", known, timeoutMs).catch(async (error) => {
        const state = await ask("dead #{pane_dead}, pid #{pane_pid}");
        throw new Error(`${error.message} (${state}); it shows:\n${await capture()}`, { cause: error });
      });
      const [status, signal] = end.split("/");
      return signal === undefined || signal === "" ? Number(status) : 128 + Number(signal);
    },
    kill,
    [Symbol.asyncDispose]: kill,
  };
}
