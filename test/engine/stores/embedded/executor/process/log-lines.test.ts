import { describe, expect, it } from "vitest";
import { type LogItem, LogLines } from "../../../../../../src/engine/stores/embedded/executor/process/log-lines.ts";

function items(...pieces: string[]): LogItem[] {
  const lines = new LogLines();
  return [...pieces.flatMap((piece) => lines.push(Buffer.from(piece))), ...lines.finish()];
}
const line = (text: string): LogItem => ({ type: "line", text });

describe("log lines", () => {
  it("come whole, whatever the pieces, and the last one without an end", () => {
    expect(items("on", "e\ntw", "o\n\nthree")).toEqual([line("one"), line("two"), line(""), line("three")]);
  });

  it("are overwritten after a carriage return, as on a terminal", () => {
    expect(items("10%\r20%\r100%\n")).toEqual([line("100%")]);
    expect(items("abcdef\rXY\n")).toEqual([line("XYcdef")]);
    expect(items("abc\r\nd\r\n")).toEqual([line("abc"), line("d")]);
  });

  it("keep a character that is cut between two pieces", () => {
    const bytes = Buffer.from("ä\n");
    const lines = new LogLines();
    expect([...lines.push(bytes.subarray(0, 1)), ...lines.push(bytes.subarray(1))]).toEqual([line("ä")]);
  });

  it("tell phases and messages from Nix's own notation", () => {
    expect(items('@nix {"action":"setPhase","phase":"buildPhase"}\nx\n')).toEqual([
      { type: "phase", name: "buildPhase" },
      line("x"),
    ]);
    expect(items('@nix {"action":"msg","level":0,"msg":"careful"}\n')).toEqual([{ type: "message", text: "careful" }]);
    expect(items('@nix {"action":"start","id":1,"level":0,"type":1}\n')).toEqual([]);
    expect(items("@nix not json\n")).toEqual([line("@nix not json")]);
  });

  it("break a line that has no end", () => {
    const found = items("x".repeat(200_000));
    expect(found.map((item) => (item.type === "line" ? item.text.length : 0))).toEqual([65536, 65536, 65536, 3392]);
  });
});
