// Which way of showing a run fits where the program runs; decided before anything of the board is loaded.
import type { Environment } from "./renderer.ts";

export const UI_FLAGS = ["auto", "board", "plain", "json", "internal-json", "quiet"] as const;
export type UiFlag = (typeof UI_FLAGS)[number];

export interface ChooseInput {
  readonly ui: UiFlag;
  readonly stdinIsTTY: boolean;
  readonly stdoutIsTTY: boolean;
  readonly stderrIsTTY: boolean;
  readonly env: Environment;
}

export type RendererKind =
  | { readonly kind: "board"; readonly drawOn: "stdout" | "stderr" }
  | { readonly kind: "plain" | "json" | "internal-json" | "quiet" };

/** The kind, or why the one asked for is not possible. */
export type RendererChoice = RendererKind | { readonly error: string; readonly hint: string };

/** `auto` is the board only on a terminal (stdin and the stream drawn on), outside CI, and where `TERM` can move a cursor. */
export function chooseRenderer(input: ChooseInput): RendererChoice {
  const { ui, env } = input;
  if (ui !== "auto" && ui !== "board") return { kind: ui };
  const drawOn = input.stdoutIsTTY ? "stdout" : "stderr";
  const obstacle = boardObstacle(input);
  if (ui === "auto") return obstacle === null && !isCI(env) ? { kind: "board", drawOn } : { kind: "plain" };
  if (obstacle === null) return { kind: "board", drawOn };
  return { error: `--ui board needs a terminal: ${obstacle}`, hint: "Leave --ui out, or use --ui plain." };
}

function boardObstacle(input: ChooseInput): string | null {
  if (!input.stdinIsTTY) return "standard input is not one";
  if (!input.stdoutIsTTY && !input.stderrIsTTY) return "neither standard output nor standard error is one";
  if (input.env.TERM === "dumb") return "TERM is dumb, it cannot move its cursor";
  return null;
}

/** Continuous integration: nobody looks, and what is written is kept. */
export function isCI(env: Environment): boolean {
  const ci = env.CI;
  if (ci === "false" || ci === "0") return false;
  if (ci !== undefined && ci !== "") return true;
  return ["GITHUB_ACTIONS", "GITLAB_CI", "TF_BUILD", "BUILDKITE", "TEAMCITY_VERSION", "JENKINS_URL"].some(
    (name) => (env[name] ?? "") !== "",
  );
}

/** Colour: NO_COLOR (https://no-color.org) before FORCE_COLOR before what the stream is. */
export function wantsColor(env: Environment, isTTY: boolean): boolean {
  if ((env.NO_COLOR ?? "") !== "") return false;
  const force = env.FORCE_COLOR;
  if (force !== undefined) return force !== "0" && force !== "false";
  return isTTY && env.TERM !== "dumb";
}

/** Whether the locale can show more than ASCII (LC_ALL before LC_CTYPE before LANG, as in POSIX). */
export function isUtf8(env: Environment): boolean {
  const locale = env.LC_ALL || env.LC_CTYPE || env.LANG || "";
  return /utf-?8/i.test(locale);
}
