// What commands print cannot control the terminal, whoever's words are in it, and only the files that see to that write.
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it, vi } from "vitest";
import { placedLines } from "../../bin/commands/dry-run.ts";
import { complain, print, printJson, warn } from "../../bin/say.ts";
import { EngineError } from "../../src/engine/base/errors.ts";

const POISON = "\u001b]0;owned\u0007\u001b[2J\u009b31mred\u0007\u202e";

describe("what commands print", () => {
  const written = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    vi.spyOn(process[name], "write").mockImplementation((text) => {
      written[name] += String(text);
      return true;
    });
  }
  afterEach(() => {
    Object.assign(written, { stdout: "", stderr: "" });
  });

  it("is harmless, and keeps its lines", () => {
    print(`one ${POISON}\ntwo`);
    expect(written.stdout).toBe("one red\ntwo\n");
    warn(`bad ${POISON}`, `try ${POISON}`);
    expect(written.stderr).toBe("warning: bad red\nhint: try red\n");
  });

  it("is harmless as an error, whose excerpt keeps its line breaks", () => {
    complain(new EngineError("config", "X", `no ${POISON}\n   at (string):1:7\n     |      ^`, { hint: "mend it" }));
    expect(written.stderr).toBe("error: no red\n   at (string):1:7\n     |      ^\nhint: mend it\n");
  });

  it("is JSON without control characters that says the same", () => {
    printJson({ text: POISON });
    expect(written.stdout).toMatch(/^[\x20-\x7e]+\n$/);
    expect(JSON.parse(written.stdout)).toEqual({ text: POISON });
  });

  it("is written by no other file", () => {
    const folder = fileURLToPath(new URL("../../bin/", import.meta.url));
    const writing = readdirSync(folder).filter(
      (file) =>
        file.endsWith(".ts") &&
        /process\.(stdout|stderr)\.write\((?!content)/.test(readFileSync(folder + file, "utf8")),
    );
    // The help is the program's own text.
    expect(writing.sort()).toEqual(["main.ts", "say.ts"]);
  });
});

describe("where builds could go", () => {
  it("is one line for those that could go to the same machines, and one for each that can go nowhere", () => {
    const to = (name: string, ...machines: string[]) => ({ name, machines, refusal: `no machine takes ${name}` });
    const many = ["d", "e", "f", "g", "h", "i", "j"].map((name) => to(name, "mac"));
    expect(placedLines([to("a", "local", "mac"), to("b"), to("c", "local", "mac"), ...many])).toEqual([
      "could go to local, mac: a, c",
      "could go to mac: d, e, f, g, h and 2 more",
      "b: no machine takes b",
    ]);
  });
});
