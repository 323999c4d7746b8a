// Passwords in text that is shown: found in whole and spoiled URIs, and nothing else taken for one.
import { describe, expect, it } from "vitest";
import { proseWithoutPasswords, withoutPassword } from "../../../src/engine/base/without-password.ts";

describe("a message", () => {
  it.each([
    ["cannot download 'https://u:p@w@h/x': refused", "cannot download 'https://u:***@h/x': refused"],
    ["(substituters=https://u:pw@h)\n  ssh://v:pw@i", "(substituters=https://u:***@h)\n  ssh://v:***@i"],
    ["'ssh://mac:22' is no user:name@host", "'ssh://mac:22' is no user:name@host"],
    ["@://:", "@://:"],
    ["a://@", "a://@"],
  ])("keeps all but passwords of URIs: %j", (text, shown) => {
    expect(proseWithoutPasswords(text)).toBe(shown);
  });

  it("is gone through in one pass, also where a hostile server wrote it", () => {
    for (const part of ["a://", ";a:", "=a", "://@", "a.b-c+", "%", "a:b@"])
      expect(proseWithoutPasswords(`://${part.repeat(300_000)}@`).length).toBeGreaterThan(0);
  });
});

describe("a password", () => {
  it.each([
    ["ssh-ng://user:pw@h", "ssh-ng://user:***@h"],
    ["ssh-ng://user:pw@h:22?x=1", "ssh-ng://user:***@h:22?x=1"],
    ["user:pw@h", "user:***@h"],
    ["SSH://user%3Apw@h", "SSH://user%3A***@h"],
    ["ssh://u%20r:pw@h", "ssh://u%20r:***@h"],
    ["ssh://user:p@w@h", "ssh://user:***@h"],
    ["ssh://us@er:pw@h", "ssh://us@er:***@h"],
    ["ssh://user:p/w@h", "ssh://user:***@h"],
    ["ssh://user:p?w=@h", "ssh://user:***@h"],
    ["ssh://user:p;w@h", "ssh://user:***@h"],
    ["ssh://:pw@h", "ssh://:***@h"],
    ["ssh-ng:/user:pw@h", "ssh-ng:***@h"],
    ["https://u:1234@h/x", "https://u:***@h/x"],
    ["s3://b?endpoint=https://u:pw@h&region=r", "s3://b?endpoint=https://u:***@h&region=r"],
    ["ssh://u:pw@a - - 1;ssh://v:pw@b\nssh://w:pw@c", "ssh://u:***@a - - 1;ssh://v:***@b\nssh://w:***@c"],
  ])("is not shown: %j", (text, shown) => {
    expect(withoutPassword(text)).toBe(shown);
  });

  it.each([
    "ssh://mac:22",
    "ssh://nix@mac:22",
    "ssh://mac:22?ssh-key=/a@b",
    "ssh://nix@mac:22?ssh-key=/a@b",
    "ssh://[::1]:22?ssh-key=/a@b",
    "https://cache:8080/a@b",
    "https://cache/x:y@z",
    "unix:///a:b@c",
    "@/etc/nix/machines",
    "ssh://a:22;ssh://b@c",
    "/nix/store/x:y@z",
    "",
  ])("is not seen in %j", (text) => {
    expect(withoutPassword(text)).toBe(text);
  });
});
