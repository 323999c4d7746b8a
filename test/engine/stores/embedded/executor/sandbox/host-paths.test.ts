import { describe, expect, it } from "vitest";
import { hostMounts, notCovered } from "../../../../../../src/engine/stores/embedded/executor/sandbox/host-paths.ts";

describe("host paths of a derivation", () => {
  it("are mounted read-only where they are allowed and there", () => {
    expect(hostMounts(["/usr/bin", "/usr/not/there"], ["/usr"])).toEqual([
      { target: "/usr/bin", source: "/usr/bin", writable: false },
    ]);
  });

  it.each(["/etc", "/usr/../etc", "/usrlocal", "relative", "/"])("refuses %s", (path) => {
    expect(() => hostMounts([path], ["/usr"])).toThrow(/asks for the host path/);
  });

  it("take the place of what lies inside of them", () => {
    const shell = { target: "/bin/sh", source: "/bin/busybox", writable: false };
    const bin = { target: "/bin", source: "/bin", writable: false };
    expect(notCovered([shell], [bin])).toEqual([]);
    expect(notCovered([shell], [{ ...bin, target: "/bi" }])).toEqual([shell]);
  });
});
