// Ways to log in that only the ssh program has: where they are looked for on disk.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { readSshKeywords } from "../../../../src/engine/transports/ssh/config/ssh-config.ts";
import { hasOtherLogins, type WayLeg, whyProgram } from "../../../../src/engine/transports/ssh/ssh-way-facts.ts";
import { removeDirectory, temporaryDirectory } from "../../../support/temporary-directory.ts";

let home: string;
beforeEach(() => {
  home = temporaryDirectory("ways");
});
afterEach(() => removeDirectory(home));

function leg(file: string, options: { readonly explicit: boolean; readonly hasOtherLogins?: boolean }): WayLeg {
  const local = { home, user: "ann", uid: 1000, hostName: "desk", environment: {} };
  return {
    target: {
      destination: { user: null, host: "mac", port: null },
      sshKey: null,
      publicHostKey: null,
      compress: false,
      settings: { configFile: null, options: [] },
    },
    config: {
      ...readSshKeywords(new Map(), "mac", "mac", local),
      identityFiles: [{ path: file, explicit: options.explicit }],
      program: { path: "ssh", words: ["mac"] },
      onlyOpenSsh: [],
      hasOtherLogins: options.hasOtherLogins ?? false,
    },
  };
}

it("security keys named by the user are used at once, those under ssh's default names when nothing else lets us in", async () => {
  const file = join(home, "id_ed25519_sk");
  expect(await hasOtherLogins([leg(file, { explicit: false })])).toBe(false);
  writeFileSync(`${file}.pub`, "sk-ssh-ed25519@openssh.com AAAA ann");
  expect(await whyProgram([leg(file, { explicit: true })])).toEqual([`security key ${file}`]);
  expect(await whyProgram([leg(file, { explicit: false })])).toEqual([]);
  expect(await hasOtherLogins([leg(file, { explicit: false })])).toBe(true);
});

it("ordinary keys are none, an agent or GSSAPI may be", async () => {
  const file = join(home, "id_ed25519");
  writeFileSync(`${file}.pub`, "ssh-ed25519 AAAA ann");
  expect(await hasOtherLogins([leg(file, { explicit: false })])).toBe(false);
  expect(await hasOtherLogins([leg(file, { explicit: false, hasOtherLogins: true })])).toBe(true);
});

it("without an ssh program there is no such way", async () => {
  const file = join(home, "id");
  writeFileSync(`${file}-cert.pub`, "");
  const { target, config } = leg(file, { explicit: false });
  expect(await whyProgram([{ target, config }])).toEqual([`certificate ${file}-cert.pub`]);
  expect(await whyProgram([{ target, config: { ...config, program: null } }])).toEqual([]);
});
