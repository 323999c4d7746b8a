// Folding groups of the CI services that fold, and keeping log text from being taken for their commands.
import type { Environment } from "../renderer.ts";

export interface CiService {
  readonly name: "github" | "gitlab" | "azure";
  /** Lines that open and close a folded group. `id` is unique in the run; seconds are since 1970. */
  open(id: string, title: string, seconds: number): string;
  close(id: string, seconds: number): string;
}

// GitHub: "Workflow commands for GitHub Actions", grouping log lines.
const GITHUB: CiService = {
  name: "github",
  open: (_id, title) => `::group::${title.replace(/%/g, "%25")}`,
  close: () => "::endgroup::",
};

// GitLab: "CI/CD job logs", custom collapsible sections.
const GITLAB: CiService = {
  name: "gitlab",
  open: (id, title, seconds) => `\x1b[0Ksection_start:${seconds}:${id}[collapsed=true]\r\x1b[0K${title}`,
  close: (id, seconds) => `\x1b[0Ksection_end:${seconds}:${id}\r\x1b[0K`,
};

// Azure Pipelines: "Logging commands", formatting commands.
const AZURE: CiService = {
  name: "azure",
  open: (_id, title) => `##[group]${title}`,
  close: () => "##[endgroup]",
};

/** The service whose log this output becomes, null outside CI or where nothing folds. */
export function detectCi(env: Environment): CiService | null {
  if (env.GITHUB_ACTIONS === "true") return GITHUB;
  if (env.GITLAB_CI === "true") return GITLAB;
  if ((env.TF_BUILD ?? "").toLowerCase() === "true") return AZURE;
  return null;
}

/** Breaks what a CI service would take for a command (`::error::`, `##[group]`, `##vso[`, `##teamcity[`), leaving it readable. */
export function withoutCommands(line: string): string {
  return line.replace(/^(\s*(?:\x1b\[[\d;]*m)*\s*):(?=:)/, "$1: ").replace(/##(?=\[|vso\[|teamcity\[)/g, "# #");
}
