import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { GENERATED_DOCS } from "../support/generated-docs.ts";

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

describe("generated pages", () => {
  for (const { path, text } of GENERATED_DOCS)
    it(`${path} is fresh (node test/support/generate-docs.ts)`, () => {
      expect(read(path)).toBe(text());
    });
});

describe("files named in the documents", () => {
  const files = ["src", "bin", "test"].flatMap((folder) =>
    readdirSync(new URL(`../../${folder}`, import.meta.url), { recursive: true, encoding: "utf8" }).map(
      (name) => `${folder}/${name}`,
    ),
  );
  const isThere = (name: string): boolean => files.some((file) => file === name || file.endsWith(`/${name}`));

  it.each(["docs/ARCHITECTURE.md", "docs/SCHEDULER.md", "docs/SECURITY.md", "CONTRIBUTING.md"])(
    "of %s are there",
    (page) => {
      const named = [...read(page).matchAll(/`([\w./-]+\.(?:ts|tsx|js|sh))`/g)].map((match) => match[1] ?? "");
      expect(named.length).toBeGreaterThan(5);
      expect(named.filter((name) => !name.includes("NAME") && !isThere(name))).toEqual([]);
    },
  );

  it("of docs/SCHEDULER.md are all facts and commands there are", () => {
    const page = read("docs/SCHEDULER.md");
    for (const source of ["fact.ts", "command.ts"]) {
      const text = read(`src/engine/scheduler/plan/${source}`);
      const union = text.slice(text.indexOf(source === "fact.ts" ? "export type Fact" : "export type Command"));
      const types = [...union.matchAll(/readonly type: "(\w+)"/g)].map((match) => match[1] ?? "");
      const known = [
        "gone",
        "failed",
        "notAsked",
        "noAnswer",
        "answered",
        "stop",
        "none",
        "check",
        "round",
        "retryHook",
        "retryHooks",
      ];
      expect(types.filter((type) => !known.includes(type) && !page.includes(`\`${type}\``))).toEqual([]);
    }
  });
});

describe("docs/EVENTS.md", () => {
  const page = read("docs/EVENTS.md");
  const source = read("src/engine/events/event.ts");

  it("names every type, state, reason and result there is", () => {
    const types = [...source.matchAll(/readonly type: "(\w+)"/g)].map((match) => match[1] ?? "");
    expect(types.length).toBeGreaterThan(60);
    expect(types.filter((type) => !page.includes(`\`${type}\``))).toEqual([]);
  });

  it("names every field there is", () => {
    const fields = [...source.matchAll(/readonly (\w+):/g)].map((match) => match[1] ?? "");
    const unnamed = fields.filter((field) => !page.includes(`\`${field}\``));
    // The envelope's own `event` is spread into the line.
    expect(unnamed.filter((field) => field !== "event")).toEqual([]);
  });

  it("describes the version the program speaks", () => {
    expect(page).toContain("This page describes version 1.");
    expect(source).toContain("EVENTS_VERSION = 1;");
  });
});
