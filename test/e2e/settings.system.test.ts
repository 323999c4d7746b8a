// What the user sets as a flag holds in the Nix of this machine, started here or running already, or the program says that it does not.
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Fleet, startBuilders } from "../support/builders.ts";
import { nixGenerations } from "../support/nix-generations.ts";
import { busyboxPath } from "../support/nixpkgs.ts";
import { type Client, createClient } from "./client.ts";

const generations = await nixGenerations();
const usable = generations.length > 0 && busyboxPath() !== null;

const EXPRESSION = `
{ salt }:
with import <nixpkgs> {};
{
  plain = runCommand "plain" { inherit salt; } "echo plain > $out";
  # Sees the machine's own folder only outside of a sandbox, or where it is let in.
  seeing = runCommand "seeing" { inherit salt; } "cat /homes/root/let-in/word > $out";
}
`;

for (const generation of generations) {
  for (const daemon of [false, true]) {
    const where = `Nix ${generation.version}, ${daemon ? "a daemon that runs" : "started here"}`;
    describe.skipIf(!usable)(
      `settings: ${where} (skipped without root, nix-bin, openssh-server and busybox-static)`,
      () => {
        let fleet: Fleet;
        let client: Client;
        let file: string;

        beforeAll(async () => {
          fleet = await startBuilders(1);
          client = await createClient(fleet, { generation, sandbox: true, daemon });
          file = client.write("settings.nix", EXPRESSION);
          client.write("let-in/word", "seen\n");
        });
        afterAll(async () => {
          await client?.remove();
          await fleet?.stop();
        });

        const build = (attribute: string, salt: string, ...flags: readonly string[]) =>
          client.run([
            ...["-f", file, attribute, "--argstr", "salt", salt, "--no-out-link", "--ui", "plain", "--builders", ""],
            ...flags,
          ]);
        const signaturesOf = async (path: string) => {
          const json = await client.instance.output("nix", ["path-info", "--json", path.trim()]);
          return JSON.stringify(JSON.parse(json)).match(/test-1:/g) ?? [];
        };

        it("signs with --option secret-key-files", async () => {
          const secret = "/homes/root/key";
          await client.instance.output("nix-store", ["--generate-binary-cache-key", "test-1", secret, `${secret}.pub`]);
          const unsigned = await build("plain", "unsigned");
          expect(unsigned.status, unsigned.stderr).toBe(0);
          expect(await signaturesOf(unsigned.stdout)).toHaveLength(0);
          const signed = await build("plain", "signed", "--option", "secret-key-files", secret);
          expect(signed.status, signed.stderr).toBe(0);
          expect(await signaturesOf(signed.stdout)).toHaveLength(1);
        });

        it("lets builds out of the sandbox with --option sandbox false, or something in with extra-sandbox-paths", async () => {
          const shut = await build("seeing", "shut");
          expect(shut.status, shut.stderr).toBe(100);
          const open = await build("seeing", "open", "--option", "sandbox", "false");
          expect(open.status, open.stderr).toBe(0);
          const letIn = await build("seeing", "let-in", "--option", "extra-sandbox-paths", "/homes/root/let-in");
          expect(letIn.status, letIn.stderr).toBe(0);
        });

        it(`${daemon ? "says that no-require-sigs comes too late" : "fetches unsigned paths with --no-require-sigs"}`, async () => {
          const made = await build("plain", "fetched");
          const path = made.stdout.trim();
          await client.instance.output("nix", ["copy", "--to", "file:///homes/root/cache", path]);
          await client.instance.output("nix-store", ["--delete", path]);
          const { status, stderr } = await build(
            ...(["plain", "fetched", "--substituters", "file:///homes/root/cache", "--no-require-sigs"] as const),
          );
          expect(status, stderr).toBe(0);
          expect(join("/", path)).toBe(path);
          if (daemon) expect(stderr).toContain("will not heed 'require-sigs'");
          else expect(stderr).toMatch(/copying path .*-plain/);
        });
      },
    );
  }
}
