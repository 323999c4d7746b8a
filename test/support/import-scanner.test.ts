// The import scanner: every form of naming a module is found, and nothing that only looks like one.
import { describe, expect, it } from "vitest";
import { codeOnly, scanImports } from "./import-scanner.ts";

const brief = (source: string) =>
  scanImports(source).map(
    ({ specifier, typeOnly, dynamic }) => `${specifier}${typeOnly ? " type" : ""}${dynamic ? " dynamic" : ""}`,
  );

describe("scanImports", () => {
  it.each([
    ['import a from "m";', ["m"]],
    ['import a, { b as c,\n  type D } from "m"', ["m"]],
    ['import { type D } from "m"', ["m"]],
    ['import * as a from "m"', ["m"]],
    ["import 'm'", ["m"]],
    ['import type { A } from "m"', ["m type"]],
    ['import type A from "m"', ["m type"]],
    ['import type from "m"', ["m"]],
    ['import { from } from "m"', ["m"]],
    ['export { a } from "m"', ["m"]],
    ['export * from "m"; export * as n from "k"', ["m", "k"]],
    ['export type { A } from "m"; export type * from "k"', ["m type", "k type"]],
    ['const a = await import("m")', ["m dynamic"]],
    ['const a = (await import("m")).thing', ["m dynamic"]],
    ['type A = import("m").Thing', ["m type dynamic"]],
    ['let a: typeof import("m")', ["m type dynamic"]],
    ['const a = require("m")', ["m dynamic"]],
    [`\`\${await import('m')} text \${\`inner \${1}\`}\`; import 'k'`, ["m dynamic", "k"]],
  ])("finds %s", (source, mentions) => {
    expect(brief(source)).toEqual(mentions);
  });

  it.each([
    '// import a from "m"',
    '/* import a from "m" */ /** {@link import("m")} */',
    "const a = 'import \"m\"';",
    "const a = `import 'm'`;",
    'const a = /import "m"/;',
    "const url = import.meta.url; const m = 'x'",
    'export const from = "m"; export function f(from = "m") {}',
    'type A = {}; export type B = { from: "m" }',
    'element.import("m"); Array.from("m")',
    "export default { from: 'm' }",
  ])("is not taken in by %s", (source) => {
    expect(brief(source)).toEqual([]);
  });

  it("goes on after quotes, slashes and apostrophes that confuse", () => {
    expect(brief(`const a = /["'\`]/.test(x) ? 4 / 2 / 1 : "\\""; import "m"`)).toEqual(["m"]);
    expect(brief(`const a = <Text>don't {x / 2}</Text>;\nimport "m"`)).toEqual(["m"]);
  });

  it("tells lines", () => {
    expect(scanImports('// one\nimport a from\n  "m";\n\nimport "k";').map(({ line }) => line)).toEqual([2, 5]);
  });

  it("keeps only code, on its lines", () => {
    expect(codeOnly("/* one\ntwo */\na").split("\n")[2]).toBe("a");
    expect(codeOnly('a /* Date.now() */ b "Math.random()" // c').replaceAll(/ +/g, " ").trim()).toBe("a b");
  });
});
