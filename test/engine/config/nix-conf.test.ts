import { describe, expect, it } from "vitest";
import { EngineError } from "../../../src/engine/base/errors.ts";
import { parseNixConf } from "../../../src/engine/config/nix-conf.ts";

describe("nix.conf grammar", () => {
  it("keeps names, values, includes and the lines they stand in", () => {
    const text =
      "# a comment\n\nmax-jobs = 4 # four\n  substituters =   a   b\t c\ncores =\n!include secrets.conf\ninclude ./more.conf\r\n";
    expect(parseNixConf(text, "/etc/nix/nix.conf")).toEqual([
      { type: "setting", name: "max-jobs", value: "4", where: { file: "/etc/nix/nix.conf", line: 3 } },
      { type: "setting", name: "substituters", value: "a b c", where: { file: "/etc/nix/nix.conf", line: 4 } },
      { type: "setting", name: "cores", value: "", where: { file: "/etc/nix/nix.conf", line: 5 } },
      { type: "include", path: "secrets.conf", optional: true, where: { file: "/etc/nix/nix.conf", line: 6 } },
      { type: "include", path: "./more.conf", optional: false, where: { file: "/etc/nix/nix.conf", line: 7 } },
    ]);
  });

  it("takes a byte order mark off the beginning", () => {
    expect(parseNixConf("\ufeffcores = 1", "/c")).toMatchObject([{ name: "cores", value: "1" }]);
  });

  it.each([
    ["max-jobs", "/c:2: syntax error in configuration line 'max-jobs'"],
    ["max-jobs=4", "/c:2: syntax error in configuration line 'max-jobs=4'"],
    ["max-jobs 4", "/c:2: syntax error"],
    ["include", "expected 'include PATH'"],
    ["!include a b", "expected '!include PATH'"],
  ])("refuses %j naming file and line", (line, message) => {
    const parse = () => parseNixConf(`cores = 1\n${line}\n`, "/c");
    expect(parse).toThrow(EngineError);
    expect(parse).toThrow(message);
  });
});
