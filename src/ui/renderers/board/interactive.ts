// The board on a terminal: takes it, draws, turns keys into requests, and gives it back however the run ends.
import { sanitizeText } from "../../format/sanitize.ts";
import { failureOf } from "../../model/board/board.ts";
import type { ReplayState } from "../../model/view/context.ts";
import { NO_ARCHIVE } from "../../model/view/context.ts";
import type { ViewEffect } from "../../model/view/view-change.ts";
import { createTheme } from "../../theme.ts";
import { isUtf8, wantsColor } from "../choose.ts";
import { closingLines } from "../lines/closing-lines.ts";
import { createLineWriter } from "../lines/line-writer.ts";
import { failureLines } from "../lines/nix-words.ts";
import { noticeLines } from "../lines/notice-lines.ts";
import { digestLines, summaryLine } from "../lines/plain-summary.ts";
import { LogFiles } from "../log-files.ts";
import type { Renderer, RendererPorts } from "../renderer.ts";
import { type BoardStore, createBoardStore } from "./board-store.ts";
import { withDrawingEnvironment } from "./drawing-environment.ts";
import type { MountedBoard, Suspend } from "./ink-app.tsx";
import { withQuickStart } from "./quick-start.ts";
import { clipboardSequence, createTerminalSigns, sizeOf } from "./terminal.ts";

const REPLAY_JUMP_MS = 10_000;
/** Bounds of the speed keys; 0 is as fast as possible. */
const SLOWEST = 1 / 16;
const FASTEST = 1024;
/** Failures repeated with their log lines in the scrollback; the digest names all. */
const REPEATED_FAILURES = 5;

/** Loads Ink and React; the terminal is touched by `start` and given back by `finish` or `restore`. */
export async function createInteractiveRenderer(ports: RendererPorts, drawOn: "stdout" | "stderr"): Promise<Renderer> {
  const stream = (drawOn === "stdout" ? ports.stdout : ports.stderr) as NodeJS.WriteStream;
  const color = wantsColor(ports.env, true);
  const { mountBoard } = await withDrawingEnvironment(stream, ports.env, color, () =>
    withQuickStart(() => import("./ink-app.tsx")),
  );
  return new InteractiveRenderer(ports, stream, color, mountBoard);
}

class InteractiveRenderer implements Renderer {
  private readonly ports: RendererPorts;
  private readonly stream: NodeJS.WriteStream;
  private readonly color: boolean;
  private readonly mount: typeof import("./ink-app.tsx").mountBoard;
  private readonly theme;
  private readonly store: BoardStore;
  private readonly signs;
  private readonly notices: string[] = [];
  private board: MountedBoard | null = null;
  private suspend: Suspend | null = null;
  private hasLeft: () => void = () => undefined;
  private readonly left: Promise<void>;
  private isSuspending = false;
  private readonly logFiles = new LogFiles();

  constructor(
    ports: RendererPorts,
    stream: NodeJS.WriteStream,
    color: boolean,
    mount: typeof import("./ink-app.tsx").mountBoard,
  ) {
    this.ports = ports;
    this.stream = stream;
    this.color = color;
    this.mount = mount;
    const spoken = ports.env.INK_SCREEN_READER === "true";
    this.theme = createTheme({ color, ascii: ports.options.ascii || !isUtf8(ports.env), spoken });
    this.left = new Promise((resolve) => {
      this.hasLeft = resolve;
    });
    this.store = createBoardStore({
      clock: ports.clock,
      size: sizeOf(stream),
      spoken,
      // A recording may name any file of whoever replays it.
      archive: ports.replay === null ? this.logFiles : NO_ARCHIVE,
      replay: () => this.replayState(),
      perform: (effect) => this.perform(effect),
      left: () => this.hasLeft(),
    });
    this.signs = createTerminalSigns((text) => {
      if (this.board !== null) this.stream.write(text);
    }, ports.env);
  }

  start(): void {
    if (this.board !== null) return;
    this.stream.on("error", this.onStreamError);
    // Registered before Ink's own listener, so that the frame it draws has the new size already.
    this.stream.on("resize", this.onResize);
    process.on("SIGTSTP", this.onStopSignal);
    process.on("exit", this.onExit);
    this.board = this.mount({
      store: this.store,
      theme: this.theme,
      stdin: this.ports.stdin,
      stream: this.stream,
      onSuspendReady: (suspend) => {
        this.suspend = suspend;
      },
    });
    this.store.subscribe(() => this.signs.show(this.store.board()));
    this.store.start();
  }

  accept(events: Parameters<Renderer["accept"]>[0]): void {
    this.store.accept(events);
  }

  notice(message: string): void {
    this.notices.push(message);
    if (this.board === null) this.printNotices();
  }

  interrupt(): void {
    this.store.interrupt();
  }

  leave(): void {
    this.hasLeft();
  }

  async finish(): Promise<void> {
    const { run } = this.store.board();
    const isWatched =
      this.ports.replay !== null ||
      (run.type === "finished" && run.outcome.exitStatus !== 0 && !run.outcome.interrupted);
    if (this.board !== null && isWatched && !this.store.view().isLeft) await this.left;
    const board = this.board;
    this.restore();
    await board?.app.waitUntilExit().catch(() => undefined);
    this.printSummary();
  }

  restore(): void {
    const board = this.board;
    if (board === null) return;
    this.signs.clear();
    this.logFiles.close();
    this.board = null;
    this.store.stop();
    this.stream.off("resize", this.onResize);
    process.off("SIGTSTP", this.onStopSignal);
    process.off("exit", this.onExit);
    board.app.unmount();
  }

  /** What stays in the scrollback: failures with their last lines, the digest, the verdict, and the out paths on stdout. */
  private printSummary(): void {
    const board = this.store.board();
    const err = createLineWriter(this.ports.stderr, this.ports.outputClosed);
    this.printNotices();
    const failures = [...board.failures].slice(0, REPEATED_FAILURES);
    for (const goal of failures) {
      const failure = failureOf(goal);
      const on = failure?.machine === "local" ? null : (failure?.machine ?? null);
      if (failure !== null) err.lines(failureLines(goal.id, failure, on, this.ports.options, this.color));
    }
    if (board.failures.size > REPEATED_FAILURES) err.lines(digestLines(board));
    for (const notice of board.notices)
      if (notice.level !== "info") err.lines(noticeLines(`${notice.level}: `, notice.message, notice.hint, this.color));
    err.lines(closingLines(board));
    if (board.run.type !== "notStarted") err.line(summaryLine(board));
    if (board.run.type !== "finished" || !this.ports.options.printOutPaths) return;
    const out = createLineWriter(this.ports.stdout, this.ports.outputClosed);
    out.lines(board.run.outcome.outputs.map((path) => sanitizeText(path)));
  }

  private printNotices(): void {
    const err = createLineWriter(this.ports.stderr, this.ports.outputClosed);
    for (const message of this.notices.splice(0)) err.lines(message.split("\n").map((line) => sanitizeText(line)));
  }

  private perform(effect: ViewEffect): void {
    switch (effect.type) {
      case "request":
        this.ports.send(effect.request);
        return;
      case "copy":
        this.stream.write(clipboardSequence(effect.text));
        return;
      case "redraw":
        this.redraw();
        return;
      case "suspend":
        void this.suspendProgram("SIGTSTP");
        return;
      case "replay":
        this.steerReplay(effect.do);
        return;
    }
  }

  private redraw(): void {
    this.stream.write("\x1b[H\x1b[2J");
    this.board?.app.clear();
  }

  /**
   * Hands the terminal to the shell, stops the whole job and takes the terminal again when the shell continues it.
   * The signal goes to the process group: through npx or a shim, stopping this process alone would leave the shell waiting.
   */
  private async suspendProgram(signal: "SIGTSTP" | "SIGSTOP"): Promise<void> {
    if (this.suspend === null || this.isSuspending) return;
    this.isSuspending = true;
    process.off("SIGTSTP", this.onStopSignal);
    try {
      await this.suspend(async () => {
        const resumed = new Promise<void>((resolve) => {
          process.once("SIGCONT", () => resolve());
        });
        process.kill(0, signal);
        await resumed;
      });
    } finally {
      process.on("SIGTSTP", this.onStopSignal);
      this.isSuspending = false;
      this.store.resize(sizeOf(this.stream));
    }
  }

  private steerReplay(what: Extract<ViewEffect, { type: "replay" }>["do"]): void {
    const { replay } = this.ports;
    if (replay === null) return;
    const { speed, position, length } = replay.state();
    if (what === "pause") replay.togglePause();
    else if (what === "slower") replay.setSpeed(speed === 0 ? FASTEST : Math.max(SLOWEST, speed / 2));
    else if (what === "faster") replay.setSpeed(speed === 0 ? 0 : Math.min(FASTEST, speed * 2));
    else {
      const target = Math.min(length, Math.max(0, position + (what === "back" ? -REPLAY_JUMP_MS : REPLAY_JUMP_MS)));
      if (target < position) this.store.restart();
      replay.jumpTo(target);
    }
  }

  private replayState(): ReplayState | null {
    const { replay } = this.ports;
    return replay === null ? null : { name: replay.name, ...replay.state() };
  }

  /** What terminals do with a frame of another size differs: it is wiped, and drawn anew. */
  private readonly onResize = (): void => {
    this.redraw();
    this.store.resize(sizeOf(this.stream));
    // Ink paints when it hears of the new size: by then it must hold the frame that fits.
    this.board?.flush();
  };

  private readonly onStopSignal = (): void => {
    void this.suspendProgram("SIGSTOP");
  };

  /** However the program ends, short of being killed. */
  private readonly onExit = (): void => this.restore();

  private readonly onStreamError = (): void => {
    this.store.stop();
    this.ports.outputClosed();
  };
}
