// Who may use a served store, and who may do everything.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Account, isListed, isTrustedClient } from "../../../src/engine/commands/client-trust.ts";
import { loadConfig } from "../../../src/engine/config/load.ts";
import { removeDirectory, temporaryDirectory } from "../../support/temporary-directory.ts";

const account = (name: string, uid: number, ...groups: string[]): Account => ({ name, uid, groups: new Set(groups) });
const config = (overrides: Record<string, string>) => loadConfig(new Map(Object.entries(overrides)));

describe("isListed", () => {
  it.each([
    [["*"], true],
    [["eva"], true],
    [["@wheel"], true],
    [["wheel"], false],
    [["@eva", "bob"], false],
    [[], false],
  ])("%j", (list, expected) => {
    expect(isListed(list, account("eva", 7, "wheel"))).toBe(expected);
  });
});

describe("isTrustedClient", () => {
  let root: string;
  beforeEach(() => {
    root = temporaryDirectory("trust");
  });
  afterEach(() => removeDirectory(root));
  const owner = process.getuid?.() ?? 0;

  it("trusts root and the owner of the store where nothing is set", () => {
    expect(isTrustedClient(config({}), root, account("someone", owner))).toBe(true);
    expect(isTrustedClient(config({}), root, account("root", 0))).toBe(true);
    expect(isTrustedClient(config({}), root, account("eva", owner + 4711))).toBe(false);
  });

  it("goes by trusted-users where it is set", () => {
    const set = config({ "trusted-users": "eva @builders" });
    expect(isTrustedClient(set, root, account("eva", owner + 1))).toBe(true);
    expect(isTrustedClient(set, root, account("bob", owner + 1, "builders"))).toBe(true);
    expect(isTrustedClient(set, root, account("root", 0))).toBe(false);
  });

  it("turns away who is not in allowed-users", () => {
    const set = config({ "allowed-users": "bob" });
    expect(() => isTrustedClient(set, root, account("eva", owner + 1))).toThrow(
      "user 'eva' is not allowed to use this store",
    );
    expect(isTrustedClient(set, root, account("bob", owner + 1))).toBe(false);
  });
});
