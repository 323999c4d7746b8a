// Free space: what `df -Pk` prints on different systems, and what this machine says of itself.
import { tmpdir } from "node:os";
import { describe, expect, it } from "vitest";
import { freeSpaceHere, parseFreeSpace } from "../../../src/engine/stores/free-space.ts";

describe("free space", () => {
  it.each([
    [
      "the least of several file systems",
      "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/sda1 1000 400 600 40% /\ntmpfs 100 99 1 99% /tmp\n",
      1024,
    ],
    [
      "names with blanks, and a full disk",
      "Filesystem     1024-blocks      Used Available Capacity  Mounted on\nmap auto home 0 0 0 100% /System/Volumes/Data/home\n",
      0,
    ],
    ["a message of the login shell before it", "Welcome!\n/dev/vda 5 1 4 20% /nix\n", 4096],
    ["nothing that is understood", "sh: df: not found\n", null],
  ])("reads %s", (_what, text, free) => expect(parseFreeSpace(text)).toBe(free));

  it("asks this machine", async () => {
    expect(await freeSpaceHere(tmpdir())).toBeGreaterThanOrEqual(0);
  });

  it("fails where there is no such directory", async () => {
    await expect(freeSpaceHere("/nonexistent/store")).rejects.toThrow(/ENOENT/);
  });
});
