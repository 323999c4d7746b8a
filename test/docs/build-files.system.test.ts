// The build files of the documents run as they are written, in a folder with nothing else in it.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ProgramUser, programUser } from "../support/program.ts";
import { removeDirectory, temporaryDirectory } from "../support/temporary-directory.ts";
import { hasPrograms } from "../support/tools.ts";

const usable = hasPrograms("busybox");

/** The TypeScript of a page, with the title it stands under. */
function examples(page: string): { readonly title: string; readonly text: string }[] {
  const source = readFileSync(new URL(`../../${page}`, import.meta.url), "utf8");
  const found: { title: string; text: string }[] = [];
  let title = "";
  for (const [, heading, text] of source.matchAll(/^#+ (.*)$|^```ts\n([\s\S]*?)^```$/gm)) {
    if (heading !== undefined) title = heading;
    if (text !== undefined) found.push({ title: `${page}, ${title}`, text });
  }
  return found;
}

const all = [...examples("README.md"), ...examples("docs/BUILD-FILES.md")];

describe.skipIf(!usable)("examples of build files (skipped without busybox-static)", () => {
  let directory: string;
  let user: ProgramUser;
  beforeAll(() => {
    directory = temporaryDirectory("examples");
    user = programUser(join(directory, "home"));
  });
  afterAll(() => removeDirectory(directory));

  it("are found", () => {
    expect(all.length).toBeGreaterThanOrEqual(4);
  });

  it.each(all)("$title", async ({ title, text }) => {
    const folder = join(directory, title.replace(/[^a-z]/gi, "-"));
    mkdirSync(join(folder, "src"), { recursive: true });
    writeFileSync(join(folder, "src/lib.txt"), "library\n");
    writeFileSync(join(folder, "default.ts"), text);
    const store = ["--store", join(directory, "store"), "--substituters", "", join(folder, "default.ts")];
    const planned = await user.run([...store, "--dry-run"]);
    expect([planned.status, planned.stderr]).toEqual([0, expect.stringMatching(/would be built|will be built/)]);
    // This one would download what it names.
    if (text.includes("builtin:fetchurl")) return;
    const built = await user.run([...store, "--no-out-link", "--ui", "plain"]);
    expect([built.status, built.stderr]).toEqual([0, expect.stringContaining("done after")]);
    expect(built.stdout).toMatch(/^(?:\/nix\/store\/\S+\n)+$/);
  });
});
