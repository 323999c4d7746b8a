// A small reader of ssh_config(5) for machines without OpenSSH's client: Host, Match host/originalhost/user/localuser/all, Include.
//
// Where the client exists, `ssh -G` answers instead; it knows everything.
import { matchesPattern } from "../keys/known-hosts.ts";
import { splitWords } from "./ssh-config.ts";

/** How the reader gets at files. */
export interface ConfigFileSource {
  /** Text of a file, null when it cannot be read. */
  readonly read: (path: string) => string | null;
  /** Files that an Include names, sorted, with `~`, relative names and wildcards resolved. `from` is the including file. */
  readonly expand: (pattern: string, from: string) => readonly string[];
}

/** The host to look up. */
export interface ConfigQuestion {
  readonly host: string;
  readonly user: string | null;
  readonly localUser: string;
}

/** The files' settings for one host, and what was not understood in them. */
export interface ConfigAnswer {
  readonly keywords: Map<string, string[]>;
  /** `file:line: what`, for warnings. */
  readonly ignored: readonly string[];
}

/** Keywords that accumulate over all their occurrences; for all others the first counts. */
const CUMULATIVE = new Set(["identityfile", "certificatefile", "sendenv", "setenv"]);
const MAX_DEPTH = 16;

/** Reads `files` in order, after `first`: settings that override all files. */
export function readSshConfigFiles(
  files: readonly string[],
  first: readonly { readonly keyword: string; readonly value: string }[],
  question: ConfigQuestion,
  source: ConfigFileSource,
): ConfigAnswer {
  const keywords = new Map<string, string[]>();
  const ignored: string[] = [];
  const add = (keyword: string, value: string): void => {
    const known = keywords.get(keyword);
    if (known === undefined) keywords.set(keyword, [value]);
    else if (CUMULATIVE.has(keyword)) known.push(value);
  };
  const currentHost = (): string =>
    (keywords.get("hostname")?.[0] ?? question.host).replaceAll("%h", question.host).toLowerCase();
  for (const option of first) add(option.keyword.toLowerCase(), option.value);

  const readFile = (file: string, depth: number): void => {
    const text = source.read(file);
    if (text === null) return;
    let active = true;
    for (const [index, raw] of text.split("\n").entries()) {
      const line = splitLine(raw);
      if (line === null) continue;
      const { keyword, value } = line;
      if (keyword === "host") {
        active = matchesAny(splitWords(value), question.host.toLowerCase());
      } else if (keyword === "match") {
        const user = keywords.get("user")?.[0] ?? question.user ?? question.localUser;
        const answer = matchesCriteria(splitWords(value), { ...question, user, currentHost: currentHost() });
        if (answer === null) ignored.push(`${file}:${index + 1}: Match ${value}`);
        active = answer === true;
      } else if (!active) {
      } else if (keyword === "include") {
        if (depth >= MAX_DEPTH) ignored.push(`${file}:${index + 1}: Include nested too deeply`);
        else
          for (const pattern of splitWords(value))
            for (const one of source.expand(pattern, file)) readFile(one, depth + 1);
      } else {
        add(keyword, value);
      }
    }
  };
  for (const file of files) readFile(file, 0);

  const hostName = keywords.get("hostname")?.[0];
  if (hostName !== undefined) keywords.set("hostname", [hostName.replaceAll("%h", question.host)]);
  return { keywords, ignored };
}

function splitLine(raw: string): { keyword: string; value: string } | null {
  const match = /^\s*(?<keyword>[A-Za-z0-9]+)(?:\s*=\s*|\s+)(?<value>.*?)\s*$/.exec(raw);
  const keyword = match?.groups?.keyword;
  const value = match?.groups?.value;
  if (keyword === undefined || value === undefined || value === "") return null;
  const quoted = /^"(?<inner>[^"]*)"$/.exec(value)?.groups?.inner;
  return { keyword: keyword.toLowerCase(), value: quoted ?? value };
}

function matchesAny(patterns: readonly string[], text: string): boolean {
  let matched = false;
  for (const pattern of patterns) {
    const lower = pattern.toLowerCase();
    if (lower.startsWith("!")) {
      if (matchesPattern(lower.slice(1), text)) return false;
    } else if (matchesPattern(lower, text)) {
      matched = true;
    }
  }
  return matched;
}

/** True or false, or null for a criterion this reader does not know (`exec`, `canonical`, …): such a block is skipped. */
function matchesCriteria(
  words: readonly string[],
  facts: ConfigQuestion & { user: string; currentHost: string },
): boolean | null {
  let result = true;
  for (let i = 0; i < words.length; i++) {
    const criterion = words[i]?.toLowerCase();
    if (criterion === "all") continue;
    const patterns = (words[++i] ?? "").split(",");
    switch (criterion) {
      case "host":
        result &&= matchesAny(patterns, facts.currentHost);
        break;
      case "originalhost":
        result &&= matchesAny(patterns, facts.host.toLowerCase());
        break;
      case "user":
        result &&= matchesAny(patterns, facts.user.toLowerCase());
        break;
      case "localuser":
        result &&= matchesAny(patterns, facts.localUser.toLowerCase());
        break;
      default:
        return null;
    }
  }
  return result;
}
