import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { GoalId, HookId } from "../../../src/engine/events/ids.ts";
import type { StorePath } from "../../../src/engine/formats/store-path.ts";
import { HookLogs, isHookLog } from "../../../src/engine/memory/hook-logs.ts";
import { LogKeeper } from "../../../src/engine/memory/log-keeper.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tsbt-hook-logs-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe("what hooks print", () => {
  it("is kept, each try in a file of its own beside the build's log", async () => {
    const logs = new HookLogs(new LogKeeper({ directory, owner: "-1-", tailLines: 5 }));
    const goal = "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-a.drv" as GoalId;
    const hook = (name: string): HookId => name as HookId;
    logs.hear({ type: "hookQueued", hook: hook("1"), kind: "postBuild", goal, paths: [] as StorePath[] });
    logs.hear({ type: "hookQueued", hook: hook("2"), kind: "upload", goal, paths: [] as StorePath[] });
    logs.hear({ type: "hookQueued", hook: hook("3"), kind: "diff", goal, paths: [] as StorePath[] });
    logs.hear({ type: "hookLogged", hook: hook("1"), lines: ["first", "\u001b[31mraw"] });
    logs.hear({ type: "hookLogged", hook: hook("2"), lines: ["sent"] });
    logs.hear({ type: "hookFinished", hook: hook("1"), result: { type: "willRetry", reason: "no", at: 0 } });
    logs.hear({ type: "hookLogged", hook: hook("1"), lines: ["second"] });
    logs.hear({ type: "hookLogged", hook: hook("nobody's"), lines: ["lost"] });
    await logs.close();
    const base = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-a.drv";
    expect(
      Object.fromEntries(
        readdirSync(directory)
          .filter((name) => name !== ".owner")
          .map((name) => [name, readFileSync(join(directory, name), "utf8")]),
      ),
    ).toEqual({
      [`${base}.post-build-hook.log`]: "first\n\u001b[31mraw\n",
      [`${base}.post-build-hook-2.log`]: "second\n",
      [`${base}.upload.log`]: "sent\n",
    });
    // Whoever looks for the builder's log passes over them all.
    expect(
      readdirSync(directory)
        .filter((name) => name !== ".owner")
        .every(isHookLog),
    ).toBe(true);
    expect([`${base}.log`, `${base}.2.log`].some(isHookLog)).toBe(false);
  });

  it("is kept apart where one build is uploaded twice", async () => {
    const logs = new HookLogs(new LogKeeper({ directory, owner: "-1-", tailLines: 5 }));
    const goal = "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-a.drv" as GoalId;
    for (const hook of ["here", "there"] as HookId[]) {
      logs.hear({ type: "hookQueued", hook, kind: "upload", goal, paths: [] });
      logs.hear({ type: "hookLogged", hook, lines: [hook] });
    }
    await logs.close();
    expect(
      readdirSync(directory)
        .filter((name) => name !== ".owner")
        .map((name) => readFileSync(join(directory, name), "utf8"))
        .sort(),
    ).toEqual(["here\n", "there\n"]);
  });
});
