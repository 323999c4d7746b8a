// Nix's `--log-format internal-json` for a run of ours: lines `@nix {…}` on stderr, for editors and for programs that show Nix's builds
// (numbers and fields: Nix 2.8 to 2.34, logging.hh).
import type { EngineEvent, PublishedEvent } from "../../../engine/events/event.ts";
import { jsonText } from "../../../engine/events/json-text.ts";
import { sanitizeText } from "../../format/sanitize.ts";
import { type Board, createBoard, failureOf } from "../../model/board/board.ts";
import { reduce } from "../../model/board/reduce.ts";
import { countStatus } from "../../model/board/tally.ts";
import { createStops } from "../board/interrupts.ts";
import { createLineWriter, type LineWriter } from "../lines/line-writer.ts";
import { buildingLine, failureLines, plannedLines, plannedWork } from "../lines/nix-words.ts";
import type { Renderer, RendererPorts } from "../renderer.ts";

const LEVEL = { error: 0, warning: 1, info: 3 } as const;
/** Programs that show Nix's builds know errors and warnings by the words they begin with. */
const NOTICE_WORD = { error: "error: ", warning: "warning: ", info: "" } as const;
const ACTIVITY = {
  copyPath: 100,
  copyPaths: 103,
  builds: 104,
  build: 105,
  substitute: 108,
  postBuildHook: 110,
} as const;
const RESULT = { buildLogLine: 101, setPhase: 104, progress: 105, postBuildLogLine: 107 } as const;

/** Out paths go to stdout as in plain output. */
export function createInternalJsonRenderer(ports: RendererPorts): Renderer {
  return new InternalJsonRenderer(ports);
}

class InternalJsonRenderer implements Renderer {
  private readonly ports: RendererPorts;
  private readonly board: Board = createBoard();
  private readonly out: LineWriter;
  private readonly err: LineWriter;
  private readonly stops;
  /** The activities under way: what they are of → id. */
  private readonly running = new Map<string, number>();
  private ids = 0;
  private told = "";
  private hasToldPlan = false;

  constructor(ports: RendererPorts) {
    this.ports = ports;
    this.out = createLineWriter(ports.stdout, ports.outputClosed);
    this.err = createLineWriter(ports.stderr, ports.outputClosed);
    this.stops = createStops(ports.send);
  }

  start(): void {
    this.begin("builds", ACTIVITY.builds, "", []);
  }

  accept(events: readonly PublishedEvent[]): void {
    for (const published of events) {
      // What has ended is looked for before the board forgets it.
      if (published.event.type === "copyFinished" || published.event.type === "copyProgressed")
        this.copied(published.event);
      reduce(this.board, published);
      this.show(published.event);
    }
    this.progress();
  }

  notice(message: string): void {
    this.message(LEVEL.info, message);
  }

  leave(): void {}

  interrupt(): void {
    this.stops.interrupt();
  }

  async finish(): Promise<void> {
    for (const key of [...this.running.keys()].reverse()) this.end(key);
    const { run } = this.board;
    if (run.type === "finished" && this.ports.options.printOutPaths)
      this.out.lines(run.outcome.outputs.map((path) => sanitizeText(path)));
  }

  restore(): void {
    // Nothing was taken.
  }

  private show(event: EngineEvent): void {
    switch (event.type) {
      case "noticeRaised":
        this.message(LEVEL[event.level], `${NOTICE_WORD[event.level]}${event.message}`, event.hint);
        return;
      case "goalWaiting":
        this.planned();
        return;
      case "buildAssigned": {
        this.planned();
        const { claim, goal, machine, round, rounds, isCheck } = event;
        const on = machine === "local" ? null : this.uri(machine);
        const text = buildingLine({ path: goal, isCheck, round, rounds, on }).replace(/\.\.\.$/, "");
        this.begin(`build ${claim}`, ACTIVITY.build, text, [goal, on ?? "", round, rounds]);
        return;
      }
      case "buildPhaseChanged":
        this.result(`build ${event.claim}`, RESULT.setPhase, [event.phase]);
        return;
      case "buildLogged":
        for (const line of event.lines) this.result(`build ${event.claim}`, RESULT.buildLogLine, [line]);
        return;
      case "buildEnded":
        this.end(`build ${event.claim}`);
        return;
      case "substitutionStarted":
        this.planned();
        this.fetching(event.goal, event.paths, event.from);
        return;
      case "substitutionProgressed": {
        const { doneBytes, expectedBytes } = event;
        this.result(`fetch ${event.goal}`, RESULT.progress, [Number(doneBytes), Number(expectedBytes), 0, 0]);
        return;
      }
      case "goalFinished":
        this.end(`fetch ${event.goal}`);
        this.end(`substitute ${event.goal}`);
        if (event.result.type === "failed") this.failed(event.goal);
        return;
      case "copyStarted": {
        const way = event.direction === "upload" ? "to" : "from";
        const text = `copying ${event.paths} paths ${way} '${this.uri(event.machine)}'`;
        this.begin(`copy ${event.copy}`, ACTIVITY.copyPaths, text, []);
        return;
      }
      case "hookStarted": {
        const drv = this.board.hooks.get(event.hook)?.goal ?? "";
        this.begin(`hook ${event.hook}`, ACTIVITY.postBuildHook, `running the hook of '${drv}'`, [drv]);
        return;
      }
      case "hookLogged":
        for (const line of event.lines) this.result(`hook ${event.hook}`, RESULT.postBuildLogLine, [line]);
        return;
      case "hookFinished":
        this.end(`hook ${event.hook}`);
        return;
      default:
        return;
    }
  }

  private copied(event: Extract<EngineEvent, { type: "copyFinished" | "copyProgressed" }>): void {
    const key = `copy ${event.copy}`;
    const expected = this.board.copies.get(event.copy)?.expectedBytes ?? 0;
    this.result(key, RESULT.progress, [Number(event.doneBytes), expected, 0, 0]);
    if (event.type === "copyFinished") this.end(key);
  }

  private fetching(goal: string, paths: readonly string[], from: string): void {
    const [path] = paths;
    if (from === "" || path === undefined) return;
    // It comes again for every path that is fetched.
    this.end(`fetch ${goal}`);
    this.end(`substitute ${goal}`);
    const parent = this.begin(`substitute ${goal}`, ACTIVITY.substitute, "", [path, from]);
    this.begin(
      `fetch ${goal}`,
      ACTIVITY.copyPath,
      `copying path '${path}' from '${from}'`,
      [path, from, "local"],
      parent,
    );
  }

  private failed(id: string): void {
    const goal = this.board.goals.get(id as never);
    const failure = goal === undefined ? null : failureOf(goal);
    if (failure === null) return;
    const on = failure.machine === null || failure.machine === "local" ? null : this.uri(failure.machine);
    this.message(LEVEL.error, failureLines(id, failure, on, this.ports.options, false).join("\n"));
  }

  /** Builds done, expected, running and failed, where they have changed. */
  private progress(): void {
    const count = (status: Parameters<typeof countStatus>[1]): number => countStatus(this.board, status);
    const [done, running, failed] = [count("built"), this.board.builds.size, count("failed")];
    const expected = done + running + failed + count("waiting");
    const fields = [done, expected, running, failed];
    if (this.told === fields.join()) return;
    this.told = fields.join();
    this.result("builds", RESULT.progress, fields);
  }

  private begin(key: string, type: number, text: string, fields: readonly (string | number)[], parent = 0): number {
    this.end(key);
    this.ids += 1;
    this.running.set(key, this.ids);
    this.write({
      action: "start",
      fields,
      id: this.ids,
      level: text === "" ? LEVEL.error : LEVEL.info,
      parent,
      text,
      type,
    });
    return this.ids;
  }

  private result(key: string, type: number, fields: readonly (string | number)[]): void {
    const id = this.running.get(key);
    if (id !== undefined) this.write({ action: "result", fields, id, type });
  }

  private end(key: string): void {
    const id = this.running.get(key);
    if (id === undefined) return;
    this.running.delete(key);
    this.write({ action: "stop", id });
  }

  private planned(): void {
    if (this.hasToldPlan) return;
    this.hasToldPlan = true;
    for (const line of plannedLines(plannedWork(this.board))) this.message(LEVEL.info, line);
  }

  private message(level: number, text: string, hint: string | null = null): void {
    const msg = hint === null ? text : `${text}\n${hint}`;
    // Where in an expression an error is comes as text; Nix has fields for that, and one with the words alone.
    const details =
      level === LEVEL.error ? { column: null, file: null, line: null, raw_msg: msg.replace(/^error: /, "") } : {};
    this.write({ action: "msg", level, msg, ...details });
  }

  private uri(machine: string): string {
    for (const known of this.board.machines.values()) if (known.id === machine) return known.description.uri;
    return machine;
  }

  private write(value: unknown): void {
    this.err.line(`@nix ${jsonText(value)}`);
  }
}
