import { describe, expect, it } from "vitest";
import { diffoscopeHook, nixDiffHook } from "../../../../src/engine/differences/explain/diffoscope.ts";
import { buildUserOf } from "../../../../src/engine/differences/hook/build-user.ts";
import { readOnlyCommand } from "../../../../src/engine/differences/hook/read-only.ts";
import { keptSuffix } from "../../../../src/engine/differences/keep/keep.ts";
import { refusesInvalid } from "../../../../src/engine/differences/keep/other-result.ts";

const self = { uid: 0, gid: 0 };
const programs = { unshare: "/u/unshare", mount: "/u/mount", setpriv: "/u/setpriv", bwrap: "/u/bwrap" };

describe("the build user of a hook", () => {
  const passwd =
    "root:x:0:0::/root:/bin/sh\nnixbld1:x:30001:30000::/:/bin/false\nnixbld2:x:30002:30000::/:/bin/false\n";

  it("is the group's first member that exists", () => {
    expect(buildUserOf("nixbld", "root:x:0:\nnixbld:x:30000:gone,nixbld2,nixbld1\n", passwd)).toEqual({
      uid: 30002,
      gid: 30000,
    });
  });

  it("is nobody without group, members or numbers", () => {
    expect(buildUserOf("nixbld", "root:x:0:\n", passwd)).toBeNull();
    expect(buildUserOf("nixbld", "nixbld:x:30000:\n", passwd)).toBeNull();
    expect(buildUserOf("nixbld", "nixbld:x:many:nixbld1\n", passwd)).toBeNull();
  });
});

describe("the hook's words", () => {
  it("are Nix's four arguments", () => {
    const { file, args } = nixDiffHook("/etc/nix/my-diff-hook");
    expect([file, ...args("/a", "/a.check", "/x.drv", "/tmp/t")]).toEqual([
      "/etc/nix/my-diff-hook",
      "/a",
      "/a.check",
      "/x.drv",
      "/tmp/t",
    ]);
  });

  it("are two paths for diffoscope, and a report to standard output", () => {
    const words = diffoscopeHook("/usr/bin/diffoscope").args("/a", "/a.check", "/x.drv", "/tmp/t");
    expect(words.slice(-2)).toEqual(["/a", "/a.check"]);
    expect(words.slice(0, 2)).toEqual(["--text", "-"]);
    expect(words).not.toContain("/x.drv");
  });

  it("come behind read-only mounts", () => {
    const command = (way: Parameters<typeof readOnlyCommand>[0]): string[] =>
      readOnlyCommand(way, ["/a", "/b"], { uid: 7, gid: 8 }, self, ["/hook", "x"], programs);
    expect(command("none")).toEqual(["/hook", "x"]);
    for (const way of ["unshareAsRoot", "bwrap", "unshareAsUser"] as const)
      expect(command(way).slice(-2)).toEqual(["/hook", "x"]);
    expect(command("unshareAsRoot")).toEqual(
      expect.arrayContaining(["--bounding-set=-sys_admin", "--reuid=7", "--clear-groups"]),
    );
    expect(command("bwrap").join(" ")).toContain("--ro-bind /a /a --ro-bind /b /b");
  });
});

describe("kept results", () => {
  it("are named as Nix names the second, and beside it", () => {
    expect([1, 2, 3, 4].map((round) => keptSuffix(round, false))).toEqual([
      ".check-1",
      ".check",
      ".check-3",
      ".check-4",
    ]);
    expect(keptSuffix(2, true)).toBe(".check-2");
  });

  it("are read through the protocol up to Nix 2.32", () => {
    expect([null, "2.8.0", "2.26.3", "2.32.4"].map(refusesInvalid)).toEqual([false, false, false, false]);
    expect(["2.33.0", "2.34.8", "3.0", "0.1.0 (tsbuild-top)", "(Lix) 2.90"].map(refusesInvalid)).toEqual([
      true,
      true,
      true,
      true,
      true,
    ]);
  });
});
