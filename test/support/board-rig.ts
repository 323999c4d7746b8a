// The real board on a screen that can be read: real Ink, a clock that obeys, events and keys by hand.
import type { PublishedEvent } from "../../src/engine/events/event.ts";
import {
  createRenderer as createSourceRenderer,
  DEFAULT_OPTIONS,
  type EngineRequestWithoutId,
  type Environment,
  type Renderer,
  type RenderOptions,
  type ReplayControls,
} from "../../src/ui/index.ts";
import type { EventScript } from "./event-script.ts";
import { SCRIPT_START } from "./event-script.ts";
import { createFakeClock, type FakeClock } from "./fake-clock.ts";
import { createScreen, type Screen, ScreenInput, ScreenOutput } from "./screen.ts";

export interface RigOptions {
  readonly columns?: number;
  readonly rows?: number;
  readonly env?: Environment;
  readonly options?: Partial<RenderOptions>;
  readonly replay?: ReplayControls;
  /** The program's own, compiled, where the sources cannot be loaded. */
  readonly createRenderer?: typeof createSourceRenderer;
}

export interface BoardRig {
  readonly renderer: Renderer;
  readonly screen: Screen;
  readonly output: ScreenOutput;
  readonly input: ScreenInput;
  readonly clock: FakeClock;
  readonly requests: EngineRequestWithoutId[];
  /** Feeds what the script has added since, brings the clock to the script's time, and waits for the frame. */
  play(script: EventScript): Promise<void>;
  feed(events: readonly PublishedEvent[]): Promise<void>;
  /** Presses keys one after another, waiting for the frame after each. */
  press(...keys: readonly string[]): Promise<void>;
  /** The text of the screen once everything drawn has arrived. */
  frame(): Promise<string>;
  close(): Promise<void>;
}

/** Keys as a terminal sends them. */
const KEY_BYTES: Readonly<Record<string, string>> = {
  up: "\x1b[A",
  down: "\x1b[B",
  right: "\x1b[C",
  left: "\x1b[D",
  pageup: "\x1b[5~",
  pagedown: "\x1b[6~",
  home: "\x1b[H",
  end: "\x1b[F",
  return: "\r",
  escape: "\x1b",
  tab: "\t",
  "shift+tab": "\x1b[Z",
  backspace: "\x7f",
  space: " ",
  "ctrl+c": "\x03",
  "ctrl+l": "\x0c",
};

export async function createBoardRig(options: RigOptions = {}): Promise<BoardRig> {
  const columns = options.columns ?? 120;
  const rows = options.rows ?? 30;
  const screen = createScreen(columns, rows);
  const output = new ScreenOutput(screen, columns, rows);
  const input = new ScreenInput();
  const clock = createFakeClock(SCRIPT_START);
  const requests: EngineRequestWithoutId[] = [];
  const createRenderer = options.createRenderer ?? createSourceRenderer;
  const renderer = await createRenderer(
    { kind: "board", drawOn: "stdout" },
    {
      stdout: output as unknown as NodeJS.WriteStream,
      stderr: output as unknown as NodeJS.WriteStream,
      stdin: input as unknown as NodeJS.ReadStream,
      env: { LANG: "C.UTF-8", TERM: "xterm-256color", ...options.env },
      clock,
      options: { ...DEFAULT_OPTIONS, ...options.options },
      send: (request) => requests.push(request),
      outputClosed: () => undefined,
      replay: options.replay ?? null,
    },
  );
  renderer.start();
  const settle = async (): Promise<void> => {
    // Ink paints on a timer of the real clock, at most every 17 ms.
    await new Promise((resolve) => setTimeout(resolve, 25));
    await screen.settled();
  };
  await settle();
  const rig: BoardRig = {
    renderer,
    screen,
    output,
    input,
    clock,
    requests,
    play: async (script) => {
      renderer.accept(script.take());
      clock.advance(Math.max(0, script.now - clock.wallTime()));
      clock.advance(1000);
      clock.setWallTime(script.now);
      output.emit("resize");
      await settle();
    },
    feed: async (events) => {
      renderer.accept(events);
      clock.advance(1000);
      await settle();
    },
    press: async (...keys) => {
      for (const key of keys) {
        input.type(KEY_BYTES[key] ?? key);
        await settle();
      }
    },
    frame: async () => {
      await settle();
      return screen.text();
    },
    close: async () => {
      renderer.restore();
      await settle();
      screen.dispose();
    },
  };
  return rig;
}
