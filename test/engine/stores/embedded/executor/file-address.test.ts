import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fileBehind } from "../../../../../src/engine/stores/embedded/executor/file-address.ts";

describe("files that builtin:fetchurl reads", () => {
  let dir: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), "tsbt-file-address-"));
    mkdirSync(join(dir, "open"));
    mkdirSync(join(dir, "open-too"));
    writeFileSync(join(dir, "open/file"), "x");
    writeFileSync(join(dir, "open-too/file"), "x");
    writeFileSync(join(dir, "secret"), "x");
    symlinkSync("../secret", join(dir, "open/link"));
    symlinkSync("file", join(dir, "open/inner"));
  });
  afterAll(() => rmSync(dir, { recursive: true }));

  const read = (address: string, ...paths: string[]): string => {
    const answer = fileBehind(address, paths);
    return answer.type === "allowed" ? answer.path.slice(dir.length) : answer.reason;
  };

  it("lie where sandbox-paths opens the machine, under the name a builder sees", () => {
    expect(read(`file://${dir}/open/file`, `${dir}/open`)).toBe("/open/file");
    expect(read("file:///cache/file", `/cache=${dir}/open`)).toBe("/open/file");
    expect(read("file:///cache/inner", `/cache=${dir}/open/`)).toBe("/open/file");
    expect(read("file:/cache/file", `/cache=${dir}/open?`)).toBe("/open/file");
  });

  it("lie nowhere else, whatever leads there", () => {
    const refused = /only below what 'sandbox-paths' names/;
    expect(read("file:///etc/hostname")).toMatch(refused);
    expect(read(`file://${dir}/open-too/file`, `${dir}/open`)).toMatch(refused);
    expect(read(`file://${dir}/open/../secret`, `${dir}/open`)).toMatch(refused);
    expect(read(`file://${dir}/open/%2e%2e/secret`, `${dir}/open`)).toMatch(refused);
    expect(read(`file://${dir}/open/link`, `${dir}/open`)).toMatch(refused);
    expect(read(`file://${dir}/open`, `${dir}/open`)).toBe("it is no regular file");
    expect(read(`file://${dir}/open/missing`, `${dir}/open`)).toContain("ENOENT");
    expect(read(`file://host${dir}/open/file`, `${dir}/open`)).toMatch(/host/);
    expect(read(`file://${dir}/open/..%2fsecret`, `${dir}/open`)).toMatch(/%2F|encoded/i);
  });
});
