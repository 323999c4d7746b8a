import { chmodSync, existsSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { makeDirectories } from "../../../src/engine/base/directories.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";

const base = temporaryDirectory("directories");

describe("making directories", () => {
  it("makes those above as well, and says whether there was anything to make", () => {
    const path = join(base, "a/b/c");
    expect([makeDirectories(path, 0o700), makeDirectories(path)]).toEqual([true, false]);
    expect(statSync(join(base, "a/b")).mode & 0o777).toBe(0o700);
  });

  it("takes a link to a directory for one, and nothing else", () => {
    makeDirectories(join(base, "real"));
    symlinkSync("real", join(base, "link"));
    writeFileSync(join(base, "file"), "");
    symlinkSync("nowhere", join(base, "dangling"));
    expect(makeDirectories(join(base, "link"))).toBe(false);
    expect(makeDirectories(join(base, "link/below"))).toBe(true);
    expect(existsSync(join(base, "real/below"))).toBe(true);
    expect(() => makeDirectories(join(base, "file"))).toThrow(/EEXIST/);
    expect(() => makeDirectories(join(base, "file/below"))).toThrow(/ENOTDIR/);
    expect(() => makeDirectories(join(base, "dangling"))).toThrow(/EEXIST/);
  });

  it("comes to an end where nothing can be made although the parent is there", () => {
    expect(() => makeDirectories("/proc/nowhere/at/all")).toThrow(/ENOENT|EACCES|EPERM|EROFS/);
    const closed = join(base, "closed");
    makeDirectories(closed);
    chmodSync(closed, 0o500);
    if (process.getuid?.() === 0) expect(makeDirectories(join(closed, "x"))).toBe(true);
    else expect(() => makeDirectories(join(closed, "x"))).toThrow(/EACCES/);
  });
});
