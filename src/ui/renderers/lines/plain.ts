// Lines on stderr in Nix's wording, for pipes, logs and CI: blocks that stay together, a heartbeat that names what runs, a digest at the end.
import type { EngineEvent, PublishedEvent } from "../../../engine/events/event.ts";
import { plural } from "../../format/counts.ts";
import { formatWords } from "../../format/duration.ts";
import { sanitizeColored, sanitizeLine, sanitizeText } from "../../format/sanitize.ts";
import { storeName } from "../../format/store-name.ts";
import { type Build, createBoard, failureOf, type Goal } from "../../model/board/board.ts";
import { reduce } from "../../model/board/reduce.ts";
import { createStops } from "../board/interrupts.ts";
import { wantsColor } from "../choose.ts";
import type { Renderer, RendererPorts } from "../renderer.ts";
import { detectCi, withoutCommands } from "./ci-groups.ts";
import { closingLines } from "./closing-lines.ts";
import { createLineWriter } from "./line-writer.ts";
import { buildingLine, copyingLine, failureLines, plannedLines, plannedWork } from "./nix-words.ts";
import { noticeLines } from "./notice-lines.ts";
import { digestLines, heartbeatLine, summaryLine } from "./plain-summary.ts";

const HEARTBEAT_MS = 30_000;
const STALL_MS = 300_000;
const STALL_TAIL = 10;

/** Out paths go to stdout, one a line, when the run has finished; everything else to stderr. */
export function createPlainRenderer(ports: RendererPorts): Renderer {
  return new PlainRenderer(ports);
}

class PlainRenderer implements Renderer {
  private readonly ports: RendererPorts;
  private readonly board = createBoard();
  private readonly out;
  private readonly err;
  private readonly ci;
  private readonly color: boolean;
  private readonly stops;
  /** Builds whose log lines are shown as they come. */
  private readonly live = new Set<Build>();
  private hasPrintedPlan = false;
  private groups = 0;
  private stopHeartbeat: () => void = () => undefined;

  constructor(ports: RendererPorts) {
    this.ports = ports;
    this.out = createLineWriter(ports.stdout, ports.outputClosed);
    this.err = createLineWriter(ports.stderr, ports.outputClosed);
    this.ci = detectCi(ports.env);
    this.color = wantsColor(ports.env, ports.stderr.isTTY === true);
    this.stops = createStops(ports.send);
  }

  start(): void {
    const beat = (): void => {
      this.heartbeat();
      this.stopHeartbeat = this.ports.clock.after(HEARTBEAT_MS, beat);
    };
    this.stopHeartbeat = this.ports.clock.after(HEARTBEAT_MS, beat);
  }

  accept(events: readonly PublishedEvent[]): void {
    for (const published of events) {
      reduce(this.board, published);
      this.show(published.event, published.at);
    }
  }

  notice(message: string): void {
    for (const line of message.split("\n")) this.say(sanitizeText(line));
  }

  leave(): void {}

  interrupt(): void {
    const running = this.board.builds.size;
    if (this.stops.interrupt() === "cancel") this.say("interrupted again: cancelling what runs");
    else if (running === 0) this.say("interrupted: nothing new will be started");
    else
      this.say(
        `interrupted: ${plural(running, "build")} will be finished first, nothing new is started; press Ctrl-C again to cancel`,
      );
  }

  async finish(): Promise<void> {
    this.restore();
    if (this.board.run.type !== "finished") return;
    const { outcome } = this.board.run;
    this.lines(digestLines(this.board));
    this.lines(closingLines(this.board));
    this.say(summaryLine(this.board));
    if (this.ports.options.printOutPaths) this.out.lines(outcome.outputs.map((path) => sanitizeText(path)));
  }

  restore(): void {
    this.stopHeartbeat();
    this.stopHeartbeat = () => undefined;
  }

  private show(event: EngineEvent, at: number): void {
    switch (event.type) {
      case "goalWaiting":
        this.plan();
        return;
      case "runStopping":
        this.say(
          `stopping (${event.how === "drain" ? "what runs is finished" : "what runs is cancelled"}): ${sanitizeText(event.reason)}`,
        );
        return;
      case "dispatchPaused":
        this.say("dispatch is paused: nothing new is started");
        return;
      case "dispatchResumed":
        this.say("dispatch goes on");
        return;
      case "noticeRaised":
        this.lines(noticeLines(this.level(event.level), event.message, event.hint, this.color));
        return;
      case "substitutionStarted":
        this.plan();
        if (event.from !== "") this.lines(event.paths.map((path) => copyingLine(path, event.from)));
        return;
      case "goalFinished":
        this.showFinished(this.board.goals.get(event.goal));
        return;
      case "buildAssigned":
        this.plan();
        this.showAssigned(this.board.builds.get(event.claim));
        return;
      case "buildLogged": {
        const build = this.board.builds.get(event.claim);
        if (build !== undefined && (this.streams() || this.live.has(build))) this.log(build, event.lines);
        return;
      }
      case "buildEnded":
        this.showEnded(event, at);
        return;
      case "copyStarted":
        if (this.ports.options.verbosity > 0 && event.paths > 0) {
          const way = event.direction === "upload" ? "to" : "from";
          this.say(`copying ${plural(event.paths, "path")} ${way} '${this.uri(event.machine)}'...`);
        }
        return;
      case "copyFinished":
        if (event.failure !== null) this.warn(`copying failed: ${sanitizeText(event.failure)}`);
        return;
      case "machineStateChanged":
        this.showMachine(event, at);
        return;
      case "outputDiffered": {
        // That it differs is said where it counts, as a warning or as the failure; here is what there is to know of it.
        const goal = this.board.goals.get(event.goal);
        const prefix = `${this.name(goal, event.goal)} (diff)> `;
        const kept = event.otherPath === null ? "" : `, kept as '${event.otherPath}'`;
        const isCheck = (goal?.claims.at(-1) ?? goal?.lastBuild?.build)?.isCheck === true;
        const where = isCheck
          ? `as it was and as '${this.uri(event.otherMachine)}' built it again`
          : `of the first round on '${this.uri(event.firstMachine)}' and of round ${event.round} on '${this.uri(event.otherMachine)}'`;
        const lines = [`output '${event.firstPath}' ${where}${kept}:`, ...event.summary.map((line) => `  ${line}`)];
        this.lines(lines.map((line) => prefix + sanitizeLine(line)));
        return;
      }
      case "hookStarted": {
        const hook = this.board.hooks.get(event.hook);
        if (hook !== undefined && this.ports.options.verbosity > 0)
          this.say(`running ${hookName(hook.kind)} for '${sanitizeText(hook.goal)}'...`);
        return;
      }
      case "hookLogged": {
        const hook = this.board.hooks.get(event.hook);
        if (hook === undefined) return;
        const prefix = `${this.name(this.board.goals.get(hook.goal), hook.goal)} (${hook.kind === "postBuild" ? "post" : hook.kind})> `;
        this.lines(event.lines.map((line) => prefix + this.clean(line)));
        return;
      }
      case "hookFinished":
        this.showHook(event);
        return;
      default:
        return;
    }
  }

  private plan(): void {
    if (this.hasPrintedPlan) return;
    this.hasPrintedPlan = true;
    this.lines(plannedLines(plannedWork(this.board)));
  }

  private showAssigned(build: Build | undefined): void {
    if (build === undefined) return;
    const { isCheck, round, rounds } = build;
    const on = this.remote(build.machine);
    const again = build.attempt > 1 ? ` (attempt ${build.attempt})` : "";
    this.say(buildingLine({ path: build.goal.id, isCheck, round, rounds, on }) + again);
    if (this.ports.options.explain && build.explanation !== "")
      this.say(`  because: ${sanitizeText(build.explanation)}`);
  }

  private showEnded(event: Extract<EngineEvent, { type: "buildEnded" }>, at: number): void {
    const ended = this.endedBuild(event.claim);
    if (ended === null) return;
    const { build } = ended;
    const wasLive = this.live.delete(build);
    const on = this.remote(build.machine);
    const place = on === null ? "" : ` on '${sanitizeText(on)}'`;
    const took = formatWords(event.durationMs);
    if (event.result.type === "built") {
      const title = `built '${sanitizeText(build.goal.id)}'${place} in ${took}`;
      if (this.ci === null || wasLive || this.streams() || build.log.total === 0) {
        this.say(title);
        return;
      }
      this.block(title, build, at);
      return;
    }
    if (event.result.type === "failed" && event.result.kind === "machinery")
      this.warn(`'${sanitizeText(build.goal.id)}'${place} failed after ${took}: ${sanitizeText(event.result.message)}`);
    if (event.result.type === "failed" && this.ci !== null && !wasLive && !this.streams()) {
      // Failures are never folded.
      this.say(`log of '${sanitizeText(build.goal.id)}'${place}:`);
      this.log(build, build.log.tail(build.log.total));
    }
    if (event.result.type === "cancelled") this.say(`cancelled '${sanitizeText(build.goal.id)}'${place} after ${took}`);
  }

  /** The log of one finished build in one piece, folded where the service folds. */
  private block(title: string, build: Build, at: number): void {
    const seconds = Math.floor(at / 1000);
    const id = `build_${++this.groups}`;
    if (this.ci !== null) this.err.line(this.ci.open(id, title, seconds));
    if (build.log.first > 0) this.say(`(${plural(build.log.first, "earlier line")} not kept)`);
    this.lines(build.log.tail(build.log.total).map((line) => this.clean(line)));
    if (this.ci !== null) this.err.line(this.ci.close(id, seconds));
  }

  private showFinished(goal: Goal | undefined): void {
    if (goal === undefined) return;
    const failure = failureOf(goal);
    if (failure === null) return;
    const on = failure.machine === null ? null : this.remote(failure.machine);
    this.lines(failureLines(goal.id, failure, on, this.ports.options, this.color));
  }

  private showMachine(event: Extract<EngineEvent, { type: "machineStateChanged" }>, at: number): void {
    const name = this.uri(event.machine);
    if (event.state.type === "coolingDown") {
      const wait = formatWords(event.state.until - at);
      this.warn(`'${name}' is cooling down, next try in ${wait}: ${sanitizeText(event.state.reason)}`);
    } else if (event.state.type === "off") this.warn(`not using '${name}': ${sanitizeText(event.state.reason)}`);
  }

  private showHook(event: Extract<EngineEvent, { type: "hookFinished" }>): void {
    const hook = this.board.hooks.get(event.hook);
    // What is given up or dropped has a notice, with the way out.
    const isQuiet = ["succeeded", "givenUp", "dropped"].includes(event.result.type);
    if (hook === undefined || event.result.type === "succeeded" || isQuiet) return;
    const what = `${hookName(hook.kind)} for '${sanitizeText(hook.goal)}'`;
    const reason = sanitizeText(event.result.reason);
    if (event.result.type === "willRetry") this.warn(`${what} failed and is tried again: ${reason}`);
    else if (event.result.type === "left") this.warn(`${what} was left for later: ${reason}`);
    else this.say(`${this.level("error")}${what} failed: ${reason}`);
  }

  private heartbeat(): void {
    const now = this.ports.clock.wallTime();
    if (this.board.run.type === "running" || this.board.run.type === "stopping")
      this.say(heartbeatLine(this.board, now));
    for (const build of this.board.builds.values()) {
      const quietSince = build.lastLogAt ?? build.stage.since;
      if (build.stage.stage !== "building" || this.streams() || this.live.has(build) || now - quietSince < STALL_MS)
        continue;
      this.live.add(build);
      const name = this.name(build.goal, build.goal.id);
      this.say(
        `'${name}' has printed nothing for ${formatWords(now - quietSince)}; its log so far, and from here on as it comes:`,
      );
      this.log(build, build.log.tail(STALL_TAIL));
    }
  }

  private log(build: Build, raw: readonly string[]): void {
    const prefix = `${this.name(build.goal, build.goal.id)}> `;
    this.lines(raw.map((line) => prefix + this.clean(line)));
  }

  /** `-L` streams; where the service folds, blocks say the same and stay together. */
  private streams(): boolean {
    return this.ports.options.printBuildLogs && this.ci === null;
  }

  private endedBuild(claim: string) {
    const last = this.board.keptLogs.at(-1);
    return last?.build.claim === claim ? last : null;
  }

  private clean(line: string): string {
    return this.color ? sanitizeColored(line) : sanitizeLine(line);
  }

  private name(goal: Goal | undefined, id: string): string {
    return sanitizeText(goal?.description.name ?? storeName(id));
  }

  private uri(machine: string): string {
    for (const known of this.board.machines.values())
      if (known.id === machine) return sanitizeText(known.description.uri);
    return sanitizeText(machine);
  }

  /** How Nix names the machine of a build; null on this one. */
  private remote(machine: string): string | null {
    return machine === "local" ? null : this.uri(machine);
  }

  private level(level: "info" | "warning" | "error"): string {
    if (level === "info") return "";
    if (level === "warning") return this.color ? "\x1b[35;1mwarning:\x1b[0m " : "warning: ";
    return this.color ? "\x1b[31;1merror:\x1b[0m " : "error: ";
  }

  private warn(message: string): void {
    this.say(this.level("warning") + message);
  }

  private say(text: string): void {
    this.lines([text]);
  }

  private lines(texts: readonly string[]): void {
    this.err.lines(this.ci === null ? texts : texts.map(withoutCommands));
  }
}

function hookName(kind: "postBuild" | "diff" | "upload"): string {
  return kind === "postBuild" ? "post-build hook" : kind === "diff" ? "diff hook" : "upload";
}
