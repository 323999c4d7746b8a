import { describe, expect, it } from "vitest";
import { keptReference, wholeReference } from "../../../src/engine/config/kept-reference.ts";

const context = { cwd: "/work", home: "/home/me" };

describe("a reference that is kept", () => {
  it.each([
    ["https://me:secret@cache/x?token=secret&priority=3", "https://cache/x?priority=3", true],
    ["https://cache/x?priority=3", "https://cache/x?priority=3", false],
    [
      "s3://bucket?endpoint=https://me:secret@minio:9000&region=eu",
      "s3://bucket?endpoint=https://minio:9000&region=eu",
      true,
    ],
    ["ssh-ng://me:secret@host", "ssh-ng://host", true],
    ["ssh-ng://me@host", "ssh-ng://me@host", false],
    ["./store", "local:///work/store", false],
    ["auto", "auto", false],
    ["nonsense://me:secret@host?token=secret", "nonsense://host", true],
  ])("%s has no secrets in it", (text, kept, isPartial) => {
    expect(keptReference(text, context)).toEqual({ text: kept, isPartial });
    expect(keptReference(kept, context).text).toBe(kept);
  });

  it("is whole again where today's configuration has the same store", () => {
    const whole = "https://me:secret@cache/x";
    const kept = keptReference(whole, context);
    expect(wholeReference(kept, ["https://other:y@cache/z", whole], context)).toBe(whole);
    expect(wholeReference(kept, ["https://other:y@cache/z"], context)).toBeNull();
    expect(wholeReference(keptReference("https://cache/x", context), [], context)).toBe("https://cache/x");
  });
});
