// Records what Nix itself writes with `--log-format internal-json`: `node test/support/record-logs.ts` as root.
//
// Writes test/fixtures/logs/X.Y/NAME.log for each generation of Nix there is here. To be run by hand, when a generation is new; look at the difference
// before it is committed. Needs what the end-to-end tests need: root, nix-bin, openssh-server and busybox-static.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createClient } from "../e2e/client.ts";
import { startBuilders } from "./builders.ts";
import { type NixGeneration, nixGenerations } from "./nix-generations.ts";
import { standInNixpkgs } from "./nixpkgs.ts";

const FOLDER = fileURLToPath(new URL("../fixtures/logs", import.meta.url));

/** A chain, one that fails, one that is not built because of it, and one that is never the same. */
const EXPRESSION = `
{ salt }:
with import <nixpkgs> {};
let
  library = mkDerivation {
    name = "library-1.0";
    inherit salt;
    configurePhase = "echo checking for a compiler... none";
    buildPhase = "echo compiling; head -c 300000 /dev/zero > library";
    installPhase = "mkdir $out; cp library $out";
  };
  tool = mkDerivation {
    name = "tool-2.1";
    inherit library;
    buildPhase = "echo linking with $library; echo warning: no symbols >&2";
    installPhase = "mkdir $out; ln -s $library $out/library";
  };
  broken = mkDerivation {
    name = "broken-1.4";
    inherit library;
    buildPhase = ''
      echo compiling frob.c
      echo "frob.c:12:5: error: too few arguments to function 'frob'" >&2
      exit 2
    '';
  };
  site = runCommand "site-5" { inherit tool broken; } "mkdir $out; ln -s $tool $broken $out";
  stamp = runCommand "stamp-0.3" { inherit salt; } "od -An -N8 -tx8 /dev/urandom > $out";
in { inherit tool site stamp broken; }
`;

async function record(generation: NixGeneration): Promise<ReadonlyMap<string, string>> {
  await using fleet = await startBuilders([{ generation, alias: "itchy" }]);
  await using client = await createClient(fleet, { generation });
  const file = client.write("default.nix", EXPRESSION);
  const env = { ...fleet.env, NIX_PATH: `nixpkgs=${await standInNixpkgs()}` };
  const logs = new Map<string, string>();
  const build = async (name: string, salt: string, attributes: readonly string[], flags: readonly string[]) => {
    const wanted = attributes.flatMap((attribute) => ["-A", attribute]);
    const args = [file, ...wanted, "--argstr", "salt", salt, "--no-out-link", "--log-format", "internal-json", "-v"];
    const { status, stderr } = await client.instance.run("nix-build", [...args, ...flags], { env });
    logs.set(
      name,
      thinned(
        stderr
          .replaceAll("/homes/root", "/home/user")
          .replace(/\/var\/cache\/[^/]*\/nixpkgs\/\w+/g, "/home/user/nixpkgs"),
      ),
    );
    process.stdout.write(`${generation.version} ${name}: status ${status}, ${stderr.length} bytes\n`);
  };
  await build("local", "local", ["tool", "site"], ["-k", "-j2", "--builders", ""]);
  await build("first-failure", "first", ["broken", "tool"], ["-j1", "--builders", ""]);
  for (const protocol of ["ssh-ng", "ssh"] as const) {
    const machines = fleet.machines({ maxJobs: 2 }).replaceAll(/ssh(-ng)?:\/\//g, `${protocol}://`);
    await build(protocol, protocol, ["tool", "site"], ["-k", "-j0", "--builders", machines]);
  }
  await build("stamp", "stamp", ["stamp"], ["--builders", ""]);
  await build("check", "stamp", ["stamp"], ["--builders", "", "--check"]);
  const tool = [file, "-A", "tool", "--argstr", "salt", "local", "--no-out-link"];
  const built = await client.instance.output("nix-build", tool, { env });
  const features = ["--extra-experimental-features", "nix-command"];
  await client.instance.output("nix", [...features, "copy", "--to", "file:///homes/root/cache", built]);
  await client.instance.output("nix-store", ["--delete", built]);
  const cache = ["--option", "substituters", "file:///homes/root/cache", "--option", "require-sigs", "false"];
  await build("substituted", "local", ["tool"], [...cache, "--builders", ""]);
  return logs;
}

/** Of the progress of each activity the first four reports and every hundredth: there are thousands while a large path is copied. */
function thinned(text: string): string {
  const seen = new Map<string, number>();
  return text
    .split("\n")
    .filter((line) => {
      const id = /"action":"result".*"id":(\d+),"type":105\}$/.exec(line)?.[1];
      // Counters of builds and copies have four numbers that mean something each time.
      if (id === undefined || !/"fields":\[\d+,\d{4,},/.test(line)) return true;
      const count = (seen.get(id) ?? 0) + 1;
      seen.set(id, count);
      return count <= 4 || count % 100 === 0;
    })
    .join("\n");
}

for (const generation of await nixGenerations()) {
  const folder = join(FOLDER, generation.version.split(".").slice(0, 2).join("."));
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of await record(generation)) writeFileSync(join(folder, `${name}.log`), text);
}
