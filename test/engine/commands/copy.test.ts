// A copy from a store that does not have the path says which store was asked, and how to name another.
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { systemClock } from "../../../src/engine/base/clock.ts";
import { type CopyReporter, type CopyRequest, copy } from "../../../src/engine/commands/copy.ts";
import { loadConfig } from "../../../src/engine/config/load.ts";
import { openEmbedded } from "../../../src/engine/stores/open/open-embedded.ts";
import { removeDirectory, temporaryDirectory } from "../../support/temporary-directory.ts";

const PATH = `/nix/store/${"0".repeat(32)}-top`;
let directory: string;

beforeAll(async () => {
  directory = temporaryDirectory("copy-source");
  // A store that is there, and empty.
  const config = loadConfig(new Map([["substituters", ""]]));
  const own = await openEmbedded(join(directory, "own"), config, { HOME: directory }, systemClock);
  await own.close();
  mkdirSync(join(directory, "private/nix/store"), { recursive: true });
  writeFileSync(join(directory, `private${PATH}`), "top");
  symlinkSync(join(directory, `private${PATH}`), join(directory, "result"));
});
afterAll(() => removeDirectory(directory));

const silent: CopyReporter = {
  planned: () => undefined,
  copying: () => undefined,
  progressed: () => undefined,
  warned: () => undefined,
};

function copied(words: readonly string[], from: string | null): Promise<unknown> {
  const request = {
    installables: { words, file: null, expression: null, attributes: [] },
    evaluation: { arguments: [] },
    settingsOverrides: new Map([["store", join(directory, "own")]]),
    from,
    to: join(directory, "target"),
    all: false,
    recursive: true,
    checkSignatures: true,
    substituteOnDestination: false,
  } as unknown as CopyRequest;
  const environment = { HOME: directory, PATH: process.env.PATH ?? "" };
  const surroundings = { cwd: directory, environment, program: "test" };
  return copy(request, surroundings, silent, new AbortController().signal);
}

it("a path that the store of the settings lacks: the store is named, and --from", async () => {
  await expect(copied([PATH], null)).rejects.toMatchObject({
    message: `path '${PATH}' is not valid in '${join(directory, "own")}'`,
    hint: "name the store that has it: --from DIR, or --from ssh-ng://HOST",
  });
});

it("a link into a store with a root of its own: that store is what --from is to name", async () => {
  const root = join(directory, "private");
  await expect(copied(["./result"], null)).rejects.toMatchObject({
    hint: `the link leads into the store below '${root}': --from '${root}' copies from there`,
  });
});

it("a store that was named needs no such advice", async () => {
  await expect(copied([PATH], join(directory, "own"))).rejects.toMatchObject({ hint: null });
});
