// The README's first command in a Debian with git and npm and nothing else, so that nothing this machine has can hide what is missing.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { collect } from "../support/processes.ts";

const script = fileURLToPath(new URL("../support/bare-debian.sh", import.meta.url));
const usable = process.getuid?.() === 0 && spawnSync("mmdebstrap", ["--version"]).status === 0;

describe.skipIf(!usable)("npm ci && npm start (skipped without root and mmdebstrap)", () => {
  for (const suite of ["bookworm", "trixie"]) {
    it.each(["root", "plain"])(`on a bare Debian ${suite}, as %s`, { timeout: 400_000 }, async (user) => {
      const run = await collect("bash", [script, suite, user], { env: { ...process.env }, timeoutMs: 380_000 });
      const said = `${run.stdout}\n${run.stderr}`;
      expect(said).not.toMatch(/SyntaxError|is not built|warning: the program is not bundled/);
      if (user === "root" || said.includes("demo as designed")) {
        expect(said).toContain("demo as designed");
        expect(run.status, said).toBe(0);
        return;
      }
      // Where an ordinary user has no namespaces, that is said at once, once, with what to do.
      const demo = said.slice(said.indexOf("tsbuild-top.js demo"));
      expect(demo).toContain("allows neither user namespaces");
      expect(demo.trim().split("\n").length).toBeLessThan(8);
    });
  }
});
