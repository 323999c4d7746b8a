import { describe, expect, it } from "vitest";
import { parsePublicKey, parsePublicKeys } from "../../../src/engine/config/public-keys.ts";

const NIXOS = "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=";
const MANUAL = "example-nix-cache-1:1/cKDz3QCCOmwcztD2eV6Coggp6rqc9DGjWv7C0G+rM=";

describe("trusted-public-keys", () => {
  it("are names with 32 bytes", () => {
    const keys = parsePublicKeys([NIXOS, MANUAL]);
    expect([...keys.keys()]).toEqual(["cache.nixos.org-1", "example-nix-cache-1"]);
    expect(Buffer.from(keys.get("cache.nixos.org-1")?.key ?? []).toString("base64")).toBe(
      "6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=",
    );
  });

  it("of one name the first counts", () => {
    const other = `cache.nixos.org-1:${MANUAL.split(":")[1]}`;
    expect(parsePublicKeys([NIXOS, other]).get("cache.nixos.org-1")).toEqual(parsePublicKey(NIXOS));
  });

  it.each(["", "name", ":AAAA", "name:", "name:AAAA", `name:${"!".repeat(44)}`])("refuses %j", (text) => {
    expect(() => parsePublicKey(text)).toThrow(expect.objectContaining({ code: "CONFIG_BAD_PUBLIC_KEY" }));
  });
});
