import { describe, expect, it } from "vitest";
import { HumanLog } from "../../../../src/engine/watch/translate/human.ts";

const drv = (name: string): string => `/nix/store/${"a".repeat(32)}-${name}.drv`;
const kinds = (lines: ReturnType<HumanLog["line"]>) => lines?.map((line) => line.type) ?? null;

describe("the log for people", () => {
  it("says what begins, where, and in which round", () => {
    const log = new HumanLog(() => []);
    expect(log.line(`building '${drv("x")}'...`)).toMatchObject([{ type: "start", fields: [drv("x"), "", 1n, 1n] }]);
    expect(log.line(`building '${drv("y")}' on 'ssh-ng://mac'...`)).toMatchObject([
      { fields: [drv("y"), "ssh-ng://mac", 1n, 1n] },
    ]);
    expect(log.line(`building '${drv("z")}' (round 2/3)...`)).toMatchObject([{ fields: [drv("z"), "", 2n, 3n] }]);
  });

  it("takes a build for ended when what needs it begins, when it fails, and at the end", () => {
    const log = new HumanLog((path) => (path === drv("y") ? [drv("x")] : []));
    const [started] = log.line(`building '${drv("x")}'...`)!;
    expect(kinds(log.line(`building '${drv("y")}'...`))).toEqual(["stop", "start"]);
    expect(started).toMatchObject({ type: "start" });
    expect(kinds(log.line(`error: builder for '${drv("y")}' failed with exit code 1;`))).toEqual(["message", "stop"]);
    log.line(`building '${drv("z")}'...`);
    expect(log.end()).toHaveLength(1);
    expect(log.end()).toEqual([]);
  });

  it("gives lines with a prefix to their build, and leaves the others alone", () => {
    const log = new HumanLog(() => []);
    log.line(`building '${drv("hello-2.12")}'...`);
    expect(log.line("hello-2.12> checking for gcc")).toMatchObject([{ type: "result", fields: ["checking for gcc"] }]);
    expect(log.line("other> what")).toBeNull();
    expect(log.line("checking for gcc")).toBeNull();
  });

  it("tells fetches from copies", () => {
    const log = new HumanLog(() => []);
    const from = (uri: string) => log.line(`copying path '/nix/store/x' from '${uri}'...`)!;
    expect(from("https://cache.nixos.org")).toMatchObject([{ activity: 108 }, { type: "stop" }]);
    expect(from("ssh://mac")).toMatchObject([{ activity: 100, fields: ["/nix/store/x", "ssh://mac", "local"] }, {}]);
    expect(log.line("copying path '/nix/store/x' to 'ssh://mac'...")).toMatchObject([
      { fields: ["/nix/store/x", "local", "ssh://mac"] },
      {},
    ]);
  });

  it("passes plans and messages on", () => {
    const log = new HumanLog(() => []);
    expect(log.line("these 2 derivations will be built:")).toMatchObject([{ type: "message", level: 3 }]);
    expect(log.line(`  ${drv("x")}`)).toMatchObject([{ type: "message", level: 3 }]);
    expect(log.line("\u001b[31;1merror:\u001b[0m no such attribute")).toMatchObject([{ type: "message", level: 0 }]);
  });
});
