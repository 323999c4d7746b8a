import { describe, expect, it } from "vitest";
import { parseSshOptions } from "../../../../../src/engine/config/ssh-options.ts";
import {
  checkSshDestination,
  parseSshAddress,
  settingsFromOptions,
  sshName,
} from "../../../../../src/engine/transports/ssh/config/ssh-settings.ts";

describe("an address", () => {
  it.each([
    ["mac", { user: null, host: "mac", port: null }, "mac"],
    ["nix@mac", { user: "nix", host: "mac", port: null }, "nix@mac"],
    ["a@b@mac:2222", { user: "a@b", host: "mac", port: 2222 }, "a@b@mac:2222"],
    ["ssh://nix@mac:22/", { user: "nix", host: "mac", port: 22 }, "nix@mac:22"],
    ["[fe80::1%eth0]:7", { user: null, host: "fe80::1%eth0", port: 7 }, "[fe80::1%eth0]:7"],
    ["::1", { user: null, host: "::1", port: null }, "::1"],
  ])("%s", (text, destination, name) => {
    expect(parseSshAddress(text)).toEqual(destination);
    expect(sshName(destination)).toBe(name);
  });

  it.each(["", "-oProxyCommand=evil", "nix@-x", "a b", "@mac", "mac:0", "mac:65536", "mac:x", "-l@mac", "a/b"])(
    "%s is refused",
    (text) => {
      expect(() => parseSshAddress(text)).toThrow(expect.objectContaining({ code: "SSH_BAD_HOST" }));
    },
  );

  it("is refused without a password that stands in it", () => {
    expect(() => parseSshAddress("u:hunter2@mac")).toThrow("expected [user@]host[:port], found 'u:***@mac'");
  });

  it("is checked also when it comes in parts", () => {
    expect(() => checkSshDestination({ user: null, host: "-x", port: null })).toThrow(/cannot connect to '-x'/);
  });
});

it("NIX_SSHOPTS become options that win, keys first", () => {
  const { options } = parseSshOptions("-F /cfg -i /k1 -p 2222 -o ProxyJump=a,b -C -i /k2");
  expect(settingsFromOptions(options)).toEqual({
    configFile: "/cfg",
    options: [
      { keyword: "IdentityFile", value: "/k1" },
      { keyword: "IdentityFile", value: "/k2" },
      { keyword: "port", value: "2222" },
      { keyword: "proxyjump", value: "a,b" },
      { keyword: "compression", value: "yes" },
    ],
  });
});
