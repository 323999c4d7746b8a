// What the user sets as a flag holds in the Nix of this machine, started here or running already, or the program says that it does not.
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Fleet, startBuilders } from "../support/builders.ts";
import { nixGenerations } from "../support/nix-generations.ts";
import { busyboxPath } from "../support/nixpkgs.ts";
import { type Client, createClient } from "./client.ts";
import { FLOATING } from "./expressions.ts";

const generations = await nixGenerations();
const usable = generations.length > 0 && busyboxPath() !== null;

const EXPRESSION = `
{ salt }:
with import <nixpkgs> {};
{
  bare = derivation {
    name = "bare"; system = builtins.currentSystem; inherit salt; builder = "/bin/sh"; args = [ "-c" "echo x > $out" ];
  };
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

        it("says what to set where a sandbox has no shell", async () => {
          const { status, stderr } = await build("bare", "no shell", "--option", "sandbox-paths", "");
          expect(status, stderr).toBe(100);
          expect(stderr).toContain("error: executing '/bin/sh': No such file or directory");
          expect(stderr).toContain("note: a sandbox holds no '/bin/sh' unless sandbox-paths names one");
        });

        it("lets builds out of the sandbox with --option sandbox false, or something in with extra-sandbox-paths", async () => {
          const shut = await build("seeing", "shut");
          expect(shut.status, shut.stderr).toBe(100);
          const open = await build("seeing", "open", "--option", "sandbox", "false");
          expect(open.status, open.stderr).toBe(0);
          const letIn = await build("seeing", "let-in", "--option", "extra-sandbox-paths", "/homes/root/let-in");
          expect(letIn.status, letIn.stderr).toBe(0);
        });

        const tooLate = daemon ? "says that it comes too late: " : "fetches unsigned paths with ";
        for (const [name, ...flags] of [
          ["--no-require-sigs", "--no-require-sigs"],
          ["?require-sigs=false", "--store", daemon ? "daemon?require-sigs=false" : "local?require-sigs=false"],
        ] as const) {
          it(`${tooLate}${name}`, async () => {
            const made = await build("plain", name);
            const path = made.stdout.trim();
            await client.instance.output("nix", ["copy", "--to", "file:///homes/root/cache", path]);
            await client.instance.output("nix-store", ["--delete", path]);
            const { status, stderr } = await build(
              "plain",
              name,
              "--substituters",
              "file:///homes/root/cache",
              ...flags,
            );
            expect(status, stderr).toBe(0);
            expect(join("/", path)).toBe(path);
            if (!daemon) expect(stderr).toMatch(/copying path .*-plain/);
            else expect(stderr).toMatch(/will not heed 'require-sigs'|parameter 'require-sigs' has no effect here/);
          });
        }
      },
    );
  }

  describe.skipIf(!usable)(
    `experimental features of Nix ${generation.version} (skipped without root, nix-bin and busybox-static)`,
    () => {
      it("given as a flag upgrade a store that never had them, and are offered to builds", async () => {
        await using fleet = await startBuilders(1);
        await using client = await createClient(fleet, { generation, conf: "experimental-features = nix-command\n" });
        // The store has its tables before anything asks for realisations.
        await client.instance.output("nix-store", ["--verify"]);
        const { status, stdout, stderr } = await client.run([
          ...["-f", client.write("floating.nix", FLOATING), "outer", "--argstr", "salt", "upgraded", "--no-out-link"],
          ...["--ui", "plain", "--builders", "", "--option", "extra-experimental-features", "ca-derivations"],
        ]);
        expect(status, stderr).toBe(0);
        expect(await client.instance.output("cat", [`${stdout.trim()}/inner`])).toBe("inner upgraded");
      });
    },
  );
}
