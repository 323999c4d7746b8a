import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { resolvePlace } from "../../../src/engine/evaluate/resolve-place.ts";

let cwd = "";
beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), "tsbuild-place-"));
  for (const [directory, file] of [
    ["nix", "default.nix"],
    ["ts", "default.ts"],
    ["flake", "flake.nix"],
    ["both", "default.nix"],
    ["both", "flake.nix"],
  ] as const) {
    mkdirSync(join(cwd, directory), { recursive: true });
    writeFileSync(join(cwd, directory, file), "{}");
  }
  mkdirSync(join(cwd, "empty"));
  writeFileSync(join(cwd, "Buildfile"), "{}");
  symlinkSync("/nix/store/3pysdbjixd4amzidam0kp6vwzpqy58y3-gone", join(cwd, "dangling"));
});
afterAll(() => rmSync(cwd, { recursive: true, force: true }));

function resolve(path: string, attributes: readonly string[] = []) {
  return resolvePlace({ type: "place", path, attributes }, cwd);
}

describe("a place", () => {
  it("is what its directory holds", async () => {
    expect(await resolve("nix", ["a"])).toEqual({
      type: "file",
      path: join(cwd, "nix/default.nix"),
      attributes: ["a"],
    });
    expect(await resolve("./ts")).toEqual({ type: "buildFile", path: join(cwd, "ts/default.ts"), attributes: [] });
    expect(await resolve("both/")).toMatchObject({ type: "file" });
    expect(await resolve("flake")).toEqual({
      type: "flake",
      reference: join(cwd, "flake"),
      outputs: { type: "default" },
    });
    expect(await resolve("flake", ["x"])).toMatchObject({ reference: `${join(cwd, "flake")}#x` });
    expect(await resolve("Buildfile")).toMatchObject({ type: "file", path: join(cwd, "Buildfile") });
  });

  it("is a path of a private store where a link leads into one", async () => {
    const path = "/nix/store/3pysdbjixd4amzidam0kp6vwzpqy58y3-wrapper";
    mkdirSync(join(cwd, "root/nix/store"), { recursive: true });
    writeFileSync(join(cwd, `root${path}`), "text");
    symlinkSync(join(cwd, `root${path}`), join(cwd, "result"));
    expect(await resolve("./result")).toEqual({ type: "storePath", path });
  });

  it("is the first store path its links meet, also where that is a link itself, or gone", async () => {
    const first = "/nix/store/3pysdbjixd4amzidam0kp6vwzpqy58y3-first";
    const second = "/nix/store/3pysdbjixd4amzidam0kp6vwzpqy58y3-second";
    mkdirSync(join(cwd, "linked/nix/store"), { recursive: true });
    mkdirSync(join(cwd, `linked${second}/bin`), { recursive: true });
    symlinkSync(join(cwd, `linked${second}`), join(cwd, `linked${first}`));
    symlinkSync(join(cwd, `linked${first}`), join(cwd, "to-first"));
    symlinkSync("to-first", join(cwd, "to-link"));
    for (const place of ["to-first", "./to-link", "to-first/bin", `linked${first}`])
      expect(await resolve(place), place).toEqual({ type: "storePath", path: first });
    expect(await resolve("dangling")).toEqual({
      type: "storePath",
      path: "/nix/store/3pysdbjixd4amzidam0kp6vwzpqy58y3-gone",
    });
    const drv = "/nix/store/3pysdbjixd4amzidam0kp6vwzpqy58y3-x.drv";
    symlinkSync(drv, join(cwd, "to-drv"));
    expect(await resolve("to-drv")).toEqual({ type: "derivation", drvPath: drv, outputs: { type: "all" } });
  });

  it("that is not there, or has nothing, says so and what to do", async () => {
    await expect(resolve("hello")).rejects.toMatchObject({
      code: "INSTALLABLE_NOT_FOUND",
      hint: expect.stringContaining("-A hello"),
    });
    await expect(resolve("./hello")).rejects.toMatchObject({ code: "INSTALLABLE_NOT_FOUND", hint: "check the path" });
    symlinkSync("nowhere", join(cwd, "broken"));
    symlinkSync("circle", join(cwd, "circle"));
    for (const link of ["broken", "circle"])
      await expect(resolve(link)).rejects.toMatchObject({ code: "INSTALLABLE_NOT_FOUND" });
    await expect(resolve("empty")).rejects.toMatchObject({ code: "INSTALLABLE_NOTHING_THERE", family: "usage" });
  });
});
