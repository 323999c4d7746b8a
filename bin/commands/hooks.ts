// `hooks`: prints the queue of hooks and uploads, or what became of those that were tried again or dropped.
import { dropHooks, listHooks, retryHooks, type Surroundings } from "../../src/engine/index.ts";
import { formatWords, plural, sanitizeLine, sanitizeText } from "../../src/ui/index.ts";
import { untilInterrupted } from "../interrupted.ts";
import type { HooksInvocation } from "../invocation.ts";
import { print, printJson, say, warn } from "../say.ts";

type ListedHook = Awaited<ReturnType<typeof listHooks>>["hooks"][number];
type HookEvent = Parameters<Parameters<typeof retryHooks>[2]["event"]>[0];

/** The list and what was dropped go to standard output; the exit status of `retry` is 1 when something is still not done. */
export async function hooksCommand(invocation: HooksInvocation, surroundings: Surroundings): Promise<number> {
  const { action, json } = invocation;
  switch (action.type) {
    case "list": {
      const { hooks, problems } = await listHooks(invocation.settingsOverrides);
      for (const problem of problems) warn(problem);
      const lines = hooks.flatMap((hook) => hookLines(hook, Date.now()));
      if (json) printJson({ hooks, problems }, 2);
      else print(lines.join("\n") || "no hook or upload is left over");
      return 0;
    }
    case "drop": {
      const dropped = await dropHooks({ ...invocation, choice: action.choice }, warn);
      if (json) printJson({ dropped }, 2);
      else print(`${plural(dropped.length, "hook or upload", "hooks or uploads")} dropped`);
      return 0;
    }
    case "retry":
      return untilInterrupted(
        async (signal) => {
          const report = { event: showEvent, warned: warn };
          const request = { ...invocation, choice: action.choice };
          const { done, left } = await retryHooks(request, surroundings, report, signal);
          if (json) printJson({ done, left });
          else print(`${done} done, ${left} still not done`);
          return left > 0 ? 1 : 0;
        },
        () => warn("stopping; what is not done stays in the queue"),
      );
  }
}

function hookLines(hook: ListedHook, now: number): string[] {
  const what = hook.kind === "upload" ? "upload to" : "post-build hook";
  const state = {
    running: `a run has it (process ${hook.pid})`,
    waiting: "the next run tries it",
    givenUp: "given up",
  }[hook.state];
  const next = hook.nextAt !== null && hook.nextAt > now ? `, again in ${formatWords(hook.nextAt - now)}` : "";
  const age = hook.since === null ? "" : `, ${formatWords(Math.max(0, now - hook.since))} old`;
  const tries = hook.attempts === 0 ? "never failed" : `failed ${plural(hook.attempts, "time")}`;
  return [
    `${sanitizeText(hook.id)}  ${what} ${sanitizeText(hook.target)}`,
    `  ${hook.drvPath}`,
    ...hook.paths.map((path) => `    ${path}`),
    `  ${state}${next} · ${tries}${age}`,
    ...(hook.reason === null ? [] : [`  ${sanitizeLine(hook.reason, 1000)}`]),
  ];
}

function showEvent(event: HookEvent): void {
  if (event.type === "hookLogged") for (const line of event.lines) say(line);
  if (event.type !== "hookFinished") return;
  if (event.result.type === "failed") warn(event.result.reason);
  if (event.result.type === "willRetry") warn(`${event.result.reason}; tried again`);
}
