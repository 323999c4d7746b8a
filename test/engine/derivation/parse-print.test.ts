import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EngineError } from "../../../src/engine/base/errors.ts";
import { parseDerivation } from "../../../src/engine/derivation/parse.ts";
import { printDerivation } from "../../../src/engine/derivation/print.ts";
import { byteStringOf, fromBytes } from "../../../src/engine/formats/byte-string.ts";
import { anyDerivation } from "./samples.ts";

const path = (name: string) => `/nix/store/0123456789abcdfghijklmnpqrsvwxyz-${name}`;
const plain = `Derive([("out","${path("x")}","","")],[("${path("y.drv")}",["dev","out"])],["${path("z")}"],"x86_64-linux","/bin/sh",["-c","a\\n\\t\\r\\"\\\\"],[("out","${path("x")}")])`;
const dynamic = `DrvWithVersion("xp-dyn-drv",[("out","","","")],[("${path("y.drv")}",(["own"],[("out",["a"]),("zz",([],[("out",["b"])]))]))],[],"s","b",[],[])`;

function parse(text: string) {
  return parseDerivation(Buffer.from(text, "latin1"), "x");
}

describe("derivations", () => {
  it("have their fixed outputs where the hashes say, or are refused", () => {
    const text = (out: string) =>
      `Derive([("out","${out}","r:sha256","${"0".repeat(64)}")],[],[],"x86_64-linux","/bin/sh",[],[])`;
    const right = "/nix/store/130c0ks0fyxky4j4qx02apy69hasc6nf-x";
    expect(() => parse(text(path("x")))).toThrow(
      /^derivation 'x\.drv' has incorrect output '\/nix\/store\/0123456789abcdfghijklmnpqrsvwxyz-x', should be '(.*)'$/,
    );
    expect(parse(text(right)).outputs.get("out")).toMatchObject({ type: "fixed", path: right });
  });

  it("are read back, whatever they hold", () => {
    fc.assert(
      fc.property(anyDerivation, (derivation) => {
        const bytes = printDerivation(derivation);
        expect(parseDerivation(bytes, derivation.name)).toEqual(derivation);
      }),
    );
  });

  it.each([plain, dynamic])("are written as they were read: %s", (text) => {
    expect(fromBytes(printDerivation(parse(text)))).toBe(text);
  });

  it("undo every escape", () => {
    expect(parse(plain).args[1]).toBe('a\n\t\r"\\');
    const derivation = parse(plain.replace('"-c"', '"\\q\\"\\\\"'));
    expect(derivation.args[0]).toBe('q"\\');
  });

  it("are sorted when they are read and when they are written", () => {
    const sorted = parse(
      `Derive([("a","","",""),("b","","","")],[],["${path("a")}","${path("b")}"],"s","b",[],[("a",""),("b","")])`,
    );
    const unsorted = parse(
      `Derive([("b","","",""),("a","","","")],[],["${path("b")}","${path("a")}"],"s","b",[],[("b",""),("a","")])`,
    );
    expect(fromBytes(printDerivation(unsorted))).toBe(fromBytes(printDerivation(sorted)));
    const made = {
      ...sorted,
      env: new Map([...sorted.env].reverse()),
      outputs: new Map([...sorted.outputs].reverse()),
    };
    expect(fromBytes(printDerivation(made))).toBe(fromBytes(printDerivation(sorted)));
  });

  it("nest dynamic dependencies", () => {
    const input = parse(dynamic).inputDrvs.values().next().value!;
    expect(input.dynamic.get("zz")!.dynamic.get("out")!.outputs).toEqual(new Set(["b"]));
    expect(() => parse(dynamic.replace('DrvWithVersion("xp-dyn-drv",', "Derive("))).toThrow("expected '['");
  });

  it("cut short at any offset are an error with that offset", () => {
    for (const text of [plain, dynamic]) {
      for (let length = 0; length < text.length; length++) {
        expect(() => parse(text.slice(0, length))).toThrow(/^x\.drv: at byte \d+: expected .*, found /);
      }
    }
  });

  it("damaged at any byte are an error or another derivation, never a crash", () => {
    for (const text of [plain, dynamic]) {
      for (let at = 0; at < text.length; at++) {
        for (const replacement of ['"', "\\", ")", "\0", "]", ",", "0"]) {
          try {
            parse(text.slice(0, at) + replacement + text.slice(at + 1));
          } catch (error) {
            expect(error).toBeInstanceOf(EngineError);
          }
        }
      }
    }
  });

  it.each([
    ["nothing", "", "at byte 0: expected 'Derive(' or 'DrvWithVersion(', found the end"],
    ["another word", plain.replace("Derive", "derive"), "at byte 0"],
    ["another version", dynamic.replace("xp-dyn-drv", "xp-other"), 'at byte 15: expected the version "xp-dyn-drv"'],
    ["a line end behind", `${plain}\n`, "expected the end"],
    ["a bad output path", plain.replace("/nix/store/0", "/nix/store/e"), "(expected a store path"],
    ["a path outside of the store", plain.replace(path("z"), "/tmp/z"), "expected a store path"],
    ["a bad output name", plain.replace('"out",', '"o/t",'), "expected an output name"],
    ["a repeated output name", plain.replace('["dev","out"]', '["out","out"]'), "an output that is not there yet"],
    ["two commas", plain.replace('["-c",', '["-c",,'), "expected a quoted string"],
    ["a comma at the end", plain.replace('["dev","out"]', '["dev","out",]'), "expected a quoted string"],
    ["a path where contents decide", plain.replace(',"","")]', ',"sha256","")]'), "a path where contents decide it"],
    ["a hash of no algorithm", plain.replace(',"","")]', ',"","00")]'), "a hash without an algorithm"],
    ["a short hash", plain.replace(',"","")]', ',"sha256","00")]'), "32 bytes in hex"],
    ["an unknown method", plain.replace(',"","")]', ',"x:sha256","00")]'), "expected a hash algorithm"],
  ])("refuse %s", (_, text, message) => {
    expect(() => parse(text)).toThrow(message);
    expect(() => parse(text)).toThrow(expect.objectContaining({ code: "ATERM_MALFORMED", family: "format" }));
  });

  it("are refused when outputs, inputs or variables are repeated", () => {
    expect(() => parse('Derive([("a","","",""),("a","","","")],[],[],"s","b",[],[])')).toThrow("not there yet");
    expect(() => parse('Derive([],[],[],"s","b",[],[("a",""),("a","")])')).toThrow("a variable that is not there yet");
    expect(() => parse(`Derive([],[],["${path("a")}","${path("a")}"],"s","b",[],[])`)).toThrow("not there yet");
  });

  it("keep bytes that are no UTF-8", () => {
    const bytes = Buffer.from([...Buffer.from('Derive([],[],[],"s","'), 0xff, 0xc0, 0x00, ...Buffer.from('",[],[])')]);
    expect(parseDerivation(bytes, "x").builder).toBe("\xff\xc0\0");
    expect(Buffer.compare(printDerivation(parseDerivation(bytes, "x")), bytes)).toBe(0);
    expect(parse(plain).builder).toBe(byteStringOf("/bin/sh"));
  });
});
