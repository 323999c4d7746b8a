// The log Nix writes for people, as far as it goes: what begins is said there, what ends is only said when it fails.
import { stripAnsi } from "../../protocols/ansi.ts";
import type { InternalLine } from "../../protocols/internal-json/parser.ts";
import { ACTIVITY, RESULT } from "../../protocols/log-frame.ts";

/** Ids of activities that a human log has none of. */
const FIRST_ID = 2n ** 63n;

const BUILDING =
  /^(?:building|checking outputs of) '([^']+\.drv)'(?: on '([^']+)')?(?: \(round (\d+)\/(\d+)\))?(?:\.\.\.)?$/;
const COPYING = /^copying path '([^']+)' (?:from '([^']+)'|to '([^']+)')(?:\.\.\.)?$/;
const FAILED = /(?:builder for|[Cc]annot build|of derivation|derivation) '([^']+\.drv)'/;
const PREFIXED = /^([^\s>]+)> (.*)$/;
const PLAN = /^(?:these \d+|this) (?:derivations?|paths?) will be |^ {2}\/nix\/store\/\S+$/;
const MESSAGE = /^(?:error|warning): /;

/** Turns lines for people into lines of the other format; null for what neither says. */
export class HumanLog {
  readonly #inputsOf: (drvPath: string) => readonly string[];
  /** Builds that have begun, by derivation. */
  readonly #open = new Map<string, bigint>();
  #next = FIRST_ID;

  /** @param inputsOf derivations a derivation needs; none where that is not known */
  constructor(inputsOf: (drvPath: string) => readonly string[]) {
    this.#inputsOf = inputsOf;
  }

  line(raw: string): readonly InternalLine[] | null {
    const text = stripAnsi(raw);
    const building = BUILDING.exec(text);
    if (building !== null) return this.#building(text, building);
    const copying = COPYING.exec(text);
    if (copying !== null) return this.#copied(text, copying);
    if (MESSAGE.test(text)) return this.#message(text);
    if (PLAN.test(text)) return [{ type: "message", level: 3, text, rawText: null }];
    const [, name, rest] = PREFIXED.exec(text) ?? [];
    if (name === undefined || rest === undefined) return null;
    const id = [...this.#open].find(([drvPath]) => drvPath.endsWith(`-${name}.drv`))?.[1];
    return id === undefined ? null : [{ type: "result", id, result: RESULT.buildLogLine, fields: [rest] }];
  }

  /** What is still open has ended well, where the whole did. */
  end(): InternalLine[] {
    const stops = [...this.#open.values()].map((id): InternalLine => ({ type: "stop", id }));
    this.#open.clear();
    return stops;
  }

  #building(text: string, [, drvPath = "", machine = "", round = "1", rounds = "1"]: RegExpExecArray): InternalLine[] {
    // What it needs is there, so it has been built.
    const ended = this.#inputsOf(drvPath).flatMap((input) => this.#stop(input));
    const again = this.#stop(drvPath);
    const id = this.#next++;
    this.#open.set(drvPath, id);
    const fields = [drvPath, machine, BigInt(round), BigInt(rounds)];
    return [...ended, ...again, { type: "start", id, level: 3, activity: ACTIVITY.build, text, fields, parent: 0n }];
  }

  #copied(text: string, [, path = "", from, to]: RegExpExecArray): InternalLine[] {
    const isFetched = from !== undefined && !/^ssh(?:-ng)?:/.test(from);
    const id = this.#next++;
    const fields = isFetched ? [path, from] : [path, from ?? "local", to ?? "local"];
    const activity = isFetched ? ACTIVITY.substitute : ACTIVITY.copyPath;
    return [
      { type: "start", id, level: 3, activity, text, fields, parent: 0n },
      { type: "stop", id },
    ];
  }

  #message(text: string): InternalLine[] {
    const level = text.startsWith("error") ? 0 : 1;
    const message: InternalLine = { type: "message", level, text, rawText: null };
    const drvPath = level === 0 ? FAILED.exec(text)?.[1] : undefined;
    return [message, ...(drvPath === undefined ? [] : this.#stop(drvPath))];
  }

  #stop(drvPath: string): InternalLine[] {
    const id = this.#open.get(drvPath);
    if (id === undefined) return [];
    this.#open.delete(drvPath);
    return [{ type: "stop", id }];
  }
}
