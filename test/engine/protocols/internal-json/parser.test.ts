// Lines as Nix 2.8 and 2.34 print them with --log-format internal-json, and lines that are none.
import { describe, expect, it } from "vitest";
import { InternalJsonParser, parseInternalLine } from "../../../../src/engine/protocols/internal-json/parser.ts";

const lines = [
  '@nix {"action":"start","fields":["/nix/store/x.drv","",1,1],"id":18446744073709551615,"level":3,"parent":9007199254740993,"text":"building","type":105}',
  '@nix {"action":"result","fields":["hello – wörld"],"id":4951760157141521099597496896,"type":101}',
  '@nix {"action":"result","fields":["a line"],"id":14207011571261441,"type":101}',
  '@nix {"action":"result","fields":[1,2,3,18446744073709551615],"id":14207011571261441,"type":9999}',
  '@nix {"action":"stop","id":14207011571261441}',
  '@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\\u001b[31merror\\u001b[0m","raw_msg":"error"}',
  '@nix { "action": "setPhase", "phase": "buildPhase" }',
  '@nix {"action":"dance","id":1}',
  "plain text @nix {",
  "@nix {broken",
  '@nix ["no object"]',
];

describe("internal-json", () => {
  it("reads every kind of line with exact ids", () => {
    expect(lines.map(parseInternalLine)).toEqual([
      {
        type: "start",
        id: 18446744073709551615n,
        level: 3,
        activity: 105,
        text: "building",
        fields: ["/nix/store/x.drv", "", 1n, 1n],
        parent: 9007199254740993n,
      },
      { type: "malformed", text: lines[1] },
      { type: "result", id: 14207011571261441n, result: 101, fields: ["a line"] },
      { type: "result", id: 14207011571261441n, result: 9999, fields: [1n, 2n, 3n, 18446744073709551615n] },
      { type: "stop", id: 14207011571261441n },
      { type: "message", level: 0, text: "\u001b[31merror\u001b[0m", rawText: "error" },
      { type: "phase", phase: "buildPhase" },
      { type: "unknown", action: "dance", text: lines[7] },
      { type: "foreign", text: "plain text @nix {" },
      { type: "malformed", text: "@nix {broken" },
      { type: "malformed", text: '@nix ["no object"]' },
    ]);
  });

  it("reads the same however the bytes are cut", () => {
    const bytes = Buffer.from(lines.join("\n"));
    const expected = lines.map(parseInternalLine);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const parser = new InternalJsonParser();
      const read = [...parser.push(bytes.subarray(0, cut)), ...parser.push(bytes.subarray(cut)), ...parser.end()];
      expect(read, `cut at ${cut}`).toEqual(expected);
    }
  });

  it("does not keep an endless line", () => {
    const parser = new InternalJsonParser();
    const piece = Buffer.alloc(4 * 1024 * 1024, "x");
    const read = Array.from({ length: 10 }, () => parser.push(piece)).flat();
    expect(read.length).toBe(2);
    expect(read.every((line) => line.type === "foreign")).toBe(true);
  });
});
