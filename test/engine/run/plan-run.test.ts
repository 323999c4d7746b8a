// What a run refuses before it begins: derivations that only a build would bring to light.
import { expect, it } from "vitest";
import { EngineError } from "../../../src/engine/base/errors.ts";
import type { StorePath } from "../../../src/engine/formats/store-path.ts";
import { planRun } from "../../../src/engine/run/plan-run.ts";
import type { DestinationStore } from "../../../src/engine/stores/store.ts";

const MAKER = "/nix/store/3cyj70gg0nj8s21s02ijxdw7an42ljh0-hello.drv.drv" as StorePath;
const USER = "/nix/store/9yz32h7zvxvncgxdxjpl0wpng8xxadnq-wrapper.drv" as StorePath;
const OUT = "/nix/store/3pysdbjixd4amzidam0kp6vwzpqy58y3-wrapper";
const files: Readonly<Record<string, string>> = {
  [MAKER]: `Derive([("out","","text:sha256","")],[],[],"x86_64-linux","/bin/sh",[],[])`,
  [USER]: `DrvWithVersion("xp-dyn-drv",[("out","${OUT}","","")],[("${MAKER}",([],[("out",["out"])]))],[],"x86_64-linux","/bin/sh",[],[])`,
};

function plan(valid: readonly string[], outputs: readonly string[] = ["out"]) {
  // Only what planning asks for.
  const store = {
    lockValidPaths: async (paths: readonly StorePath[]) => new Set(paths.filter((path) => valid.includes(path))),
    queryRealisation: async () => null,
    addTempRoots: async () => undefined,
  } as unknown as DestinationStore;
  return planRun({
    store,
    readDrv: async (path) => Buffer.from(files[path] ?? "", "latin1"),
    targets: [{ type: "built", drvPath: USER, outputs }],
    substitute: false,
    alwaysSubstitute: false,
    rounds: 1,
    check: "no",
    signal: new AbortController().signal,
  });
}

it("refuses what needs the outputs of a derivation that is itself built, naming both", async () => {
  const error = await plan([]).then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(EngineError);
  expect(error).toMatchObject({ code: "DRV_DYNAMIC" });
  expect((error as EngineError).message).toContain(USER);
  expect((error as EngineError).message).toContain(MAKER);
});

it("refuses outputs that a derivation does not have, in Nix's words", async () => {
  await expect(plan([OUT], ["out", "doc", "man"])).rejects.toMatchObject({
    code: "DRV_NO_SUCH_OUTPUT",
    message: `derivation '${USER}' does not have wanted outputs 'doc', 'man'`,
    hint: "it has: out",
  });
});

it("needs nothing of it once the outputs are valid", async () => {
  const { goals } = await plan([OUT]);
  expect(goals.find(({ isTarget }) => isTarget)).toMatchObject({ goal: USER, validity: "valid" });
});
