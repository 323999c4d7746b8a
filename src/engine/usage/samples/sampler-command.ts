// The sampler that runs on a builder: a few lines of POSIX shell that print one sample for each line read and end with their input.
import {
  parseLoadAverage,
  parseMacLoad,
  parseMacMemory,
  parseMacTop,
  parseMemoryInfo,
  parseProcStat,
} from "./proc-stat.ts";
import type { UsageSample } from "./sample.ts";

/** First word of everything the sampler says: an account that runs something else instead (a forced command) is told by its absence. */
const GREETING = "tsbuild-top-sampler";

/**
 * The script. It waits in `read`, so that it costs nothing between samples and ends at the end of its input, whatever becomes of the
 * connection. Only what every POSIX system or busybox has is used; no single quotes, so that it can be quoted whole for any login shell.
 */
const SCRIPT = [
  "if [ -r /proc/stat ]; then",
  `echo "${GREETING} linux";`,
  "while read -r wanted; do",
  "echo @host; cat /proc/sys/kernel/random/boot_id 2>/dev/null;",
  "echo @processor; grep ^cpu /proc/stat;",
  "echo @load; cat /proc/loadavg;",
  'echo @memory; grep -E "^(MemTotal|MemFree|MemAvailable|Buffers|Cached):" /proc/meminfo;',
  "echo @end; done;",
  'elif [ "$(uname -s)" = Darwin ]; then',
  `echo "${GREETING} darwin";`,
  "while read -r wanted; do",
  "echo @cores; sysctl -n hw.logicalcpu;",
  "echo @processor; top -l 2 -n 0 -s 1;",
  "echo @load; sysctl -n vm.loadavg;",
  "echo @size; sysctl -n hw.memsize;",
  "echo @memory; vm_stat;",
  "echo @end; done;",
  "else",
  `echo "${GREETING} none $(uname -s)"; fi`,
].join(" ");

/** The command line for a login shell: the script by `sh`, so that fish and csh users are served too. */
export const SAMPLER_COMMAND = `exec sh -c '${SCRIPT}'`;

/** What is written to the sampler to get one sample. */
export const SAMPLE_REQUEST = "\n";

/** What the sampler said. */
export type SamplerMessage =
  | { readonly type: "ready"; readonly system: "linux" | "darwin" }
  | { readonly type: "sample"; readonly sample: UsageSample }
  /** It cannot sample, or it is not our sampler that answers. */
  | { readonly type: "unusable"; readonly reason: string };

/** A sample is a few kilobytes even on machines with a thousand cores. */
const MAX_SAMPLE_CHARACTERS = 512 * 1024;
/** Lines a login shell may print before our greeting (a motd). */
const MAX_LINES_BEFORE_GREETING = 200;

/** Reads the sampler's text, in pieces of any size. */
export class SamplerReader {
  #rest = "";
  #system: "linux" | "darwin" | null = null;
  #linesBefore = 0;
  #sections = new Map<string, string>();
  #section: string | null = null;
  #size = 0;
  #unusable = false;

  /** The messages a piece of text completes. After `unusable` nothing more comes. */
  push(text: string): SamplerMessage[] {
    if (this.#unusable) return [];
    const messages: SamplerMessage[] = [];
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      const message = this.#line(line.replace(/\r$/, ""));
      if (message === null) continue;
      messages.push(message);
      if (message.type === "unusable") return messages;
    }
    if (this.#rest.length > MAX_SAMPLE_CHARACTERS) messages.push(this.#giveUp("it prints a line without end"));
    return messages;
  }

  #line(line: string): SamplerMessage | null {
    if (this.#system === null) return this.#beforeGreeting(line);
    if (line === "@end") return this.#finish(this.#system);
    if (/^@[a-z]+$/.test(line)) {
      this.#section = line.slice(1);
      this.#sections.set(this.#section, "");
      return null;
    }
    if (this.#section === null) return null;
    this.#size += line.length;
    if (this.#size > MAX_SAMPLE_CHARACTERS) return this.#giveUp("a sample is too large");
    this.#sections.set(this.#section, `${this.#sections.get(this.#section) ?? ""}${line}\n`);
    return null;
  }

  #beforeGreeting(line: string): SamplerMessage | null {
    if (!line.startsWith(GREETING)) {
      return ++this.#linesBefore > MAX_LINES_BEFORE_GREETING
        ? this.#giveUp("the account runs another command than the one asked for")
        : null;
    }
    const [, system, name] = line.split(" ");
    if (system === "linux" || system === "darwin") {
      this.#system = system;
      return { type: "ready", system };
    }
    return this.#giveUp(`${name ?? "its system"} is not supported`);
  }

  #finish(system: "linux" | "darwin"): SamplerMessage {
    const sample = system === "linux" ? linuxSample(this.#sections) : macSample(this.#sections);
    this.#sections = new Map();
    this.#section = null;
    this.#size = 0;
    return sample === null ? this.#giveUp("its figures are not understood") : { type: "sample", sample };
  }

  #giveUp(reason: string): SamplerMessage {
    this.#unusable = true;
    return { type: "unusable", reason };
  }
}

/** A sample from the texts of Linux's files; null when one of them is not understood. */
export function linuxSample(sections: ReadonlyMap<string, string>): UsageSample | null {
  const processor = parseProcStat(sections.get("processor") ?? "");
  const load1 = parseLoadAverage(sections.get("load") ?? "");
  const memory = parseMemoryInfo(sections.get("memory") ?? "");
  const host = /^[0-9a-f-]{36}$/m.exec(sections.get("host") ?? "")?.[0] ?? null;
  return processor === null || load1 === null || memory === null ? null : { host, processor, load1, memory };
}

/** A sample from macOS's commands; null when one of them is not understood. Untried on a real machine. */
function macSample(sections: ReadonlyMap<string, string>): UsageSample | null {
  const cores = /^\d{1,5}$/m.exec(sections.get("cores") ?? "")?.[0];
  const size = /^\d{1,18}$/m.exec(sections.get("size") ?? "")?.[0];
  if (cores === undefined || size === undefined) return null;
  const processor = parseMacTop(sections.get("processor") ?? "", Number(cores));
  const load1 = parseMacLoad(sections.get("load") ?? "");
  const memory = parseMacMemory(sections.get("memory") ?? "", BigInt(size));
  return processor === null || load1 === null || memory === null ? null : { host: null, processor, load1, memory };
}
