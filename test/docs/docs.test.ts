import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { GENERATED_DOCS } from "../support/generated-docs.ts";

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

describe("generated pages", () => {
  for (const { path, text } of GENERATED_DOCS)
    it(`${path} is fresh (node test/support/generate-docs.ts)`, () => {
      expect(read(path)).toBe(text());
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
