// The diff hook by itself: as an ordinary user that owns both results and still cannot write to them, cancelled, missing.
import { chmodSync, chownSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runDiffHook } from "../../../../src/engine/differences/hook/diff-hook.ts";
import { nixGenerations } from "../../../support/nix-generations.ts";
import { createInstance, type NixInstance } from "../../../support/nix-instance.ts";
import { removeDirectory, temporaryDirectory } from "../../../support/temporary-directory.ts";
import { hookSettings, never } from "../rig.ts";

const generations = await nixGenerations();

describe.skipIf(generations.length === 0)("a diff hook (skipped without root and nix-bin)", () => {
  let directory: string;
  let machine: NixInstance;
  let first: string;
  let other: string;

  beforeAll(async () => {
    directory = temporaryDirectory("hook");
    machine = await createInstance(generations[0]!, { name: "hook" });
    [first, other] = [join(directory, "one"), join(directory, "one.check")];
    for (const place of [first, other]) {
      mkdirSync(place);
      writeFileSync(join(place, "file"), place);
      for (const path of [place, join(place, "file")]) chownSync(path, 61002, 61002);
    }
    // The folder around them belongs to the user as well: it could rename and remove.
    chownSync(directory, 61002, 61002);
    script(
      "hook",
      'id -u; pwd; echo x > "$1/file"; echo x > "$2/new"; mv "$1" "$1.moved"; rm -rf "$2"; cat "$1/file" "$2/file"',
    );
  });
  afterAll(async () => {
    await machine?.remove();
    removeDirectory(directory);
  });

  const script = (name: string, text: string): string => {
    const path = join(directory, name);
    writeFileSync(path, `#!/bin/sh\n${text}\n`);
    chmodSync(path, 0o755);
    return path;
  };

  it("cannot write to what its user owns, where there are namespaces", async () => {
    const node = `/checkout/node_modules/node-linux-${process.arch}/bin/node`;
    const args = ["/checkout/test/engine/differences/hook/run-hook.ts", join(directory, "hook"), first, other];
    const answer = await machine.run(node, args, { user: "tsbt-plain" });
    expect(answer.status, answer.stderr).toBe(0);
    const { lines, readOnly, failure } = JSON.parse(answer.stdout);
    expect(["bwrap", "unshareAsUser"]).toContain(readOnly);
    expect(failure).toBeNull();
    expect(lines.slice(0, 2)).toEqual(["61002", "/"]);
    expect([readFileSync(join(first, "file"), "utf8"), readFileSync(join(other, "file"), "utf8")]).toEqual([
      first,
      other,
    ]);
    expect(lines.join("\n")).toMatch(/Read-only file system/);
  });

  it("is given symlinks as they are", async () => {
    const link = join(directory, "link");
    symlinkSync("/nowhere", link);
    const lines: string[] = [];
    const call = {
      first: link,
      other,
      drvPath: "/x.drv",
      buildDirectory: directory,
      logged: (more: readonly string[]) => lines.push(...more),
    };
    const end = await runDiffHook(hookSettings(script("links", 'readlink "$1"; echo "$4"')), call, never);
    expect([end.failure, lines]).toEqual([null, ["/nowhere", directory]]);
  });

  it("is killed when it is cancelled or takes too long, and may be missing", async () => {
    const call = { first, other, drvPath: "/x.drv", buildDirectory: null, logged: () => {} };
    const slow = script("slow", "sleep 60");
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 200);
    const cancelled = await runDiffHook(hookSettings(slow), call, abort.signal);
    expect(cancelled.failure).toContain("was cancelled");
    const late = await runDiffHook(hookSettings(slow, { timeoutMs: 300 }), call, never);
    expect(late.failure).toContain("timed out after 0.3 seconds");
    const missing = await runDiffHook(hookSettings(join(directory, "nothing")), call, never);
    expect(missing.failure).toMatch(
      /^diff hook execution failed: diff-hook program .*(exit code 127|could not be started)/,
    );
    const gone = await runDiffHook(hookSettings(slow), { ...call, other: join(directory, "gone") }, never);
    expect(gone.failure).toMatch(/^diff hook execution failed: ENOENT/);
  });
});
