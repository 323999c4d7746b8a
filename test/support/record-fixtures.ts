// Records the runs that tests of the renderers are fed: `npm run build`, then `node test/support/record-fixtures.ts [NAME…]` as root.
//
// Writes test/fixtures/recordings/NAME.jsonl: `nix-X.Y` for a client and a builder of each generation of Nix there is here, `embedded` for a
// store of one's own. To be run by hand, when events change or a generation is new; look at the difference before it is committed. Needs
// what the end-to-end tests need: root, nix-bin, openssh-server and busybox-static.
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseRecording } from "../../src/engine/events/recording.ts";
import { createClient } from "../e2e/client.ts";
import { startBuilders } from "./builders.ts";
import { expectGrammar } from "./event-grammar.ts";
import { type NixGeneration, nixGenerations } from "./nix-generations.ts";

const FOLDER = fileURLToPath(new URL("../fixtures/recordings", import.meta.url));

/** Larger ones are a burden for whoever clones. */
const MOST_BYTES = 60_000;

/** Two rounds of each: one that differs, one that fails, one that is not built because of it, one that only the builder takes. */
const EXPRESSION = `
with import <nixpkgs> {};
let
  library = mkDerivation {
    name = "library-1.0";
    requiredSystemFeatures = [ "big-parallel" ];
    configurePhase = "echo checking for a compiler... none; sleep 0.3";
    buildPhase = "for part in 1 2 3 4 5 6; do echo compiling part $part; sleep 0.1; done; head -c 400000 /dev/zero > library";
    installPhase = "mkdir $out; cp library $out";
  };
  tool = mkDerivation {
    name = "tool-2.1";
    inherit library;
    buildPhase = "echo linking with $library; sleep 0.5; echo warning: no symbols >&2";
    checkPhase = "echo 3 tests passed";
    installPhase = "mkdir $out; ln -s $library $out/library";
  };
  stamp = mkDerivation {
    name = "stamp-0.3";
    buildPhase = "sleep 0.4; od -An -N8 -tx8 /dev/urandom > stamp; echo stamped";
    installPhase = "mkdir $out; cp stamp $out";
  };
  broken = mkDerivation {
    name = "broken-1.4";
    inherit library;
    buildPhase = ''
      echo compiling frob.c
      sleep 0.3
      echo "frob.c:12:5: error: too few arguments to function 'frob'" >&2
      exit 2
    '';
  };
  site = runCommand "site-5" { inherit tool broken; } "mkdir $out; ln -s $tool $broken $out";
in { inherit tool stamp site; }
`;

interface Fixture {
  readonly name: string;
  readonly generation: NixGeneration;
  readonly flags: readonly string[];
}

async function record({ name, generation, flags }: Fixture): Promise<string> {
  await using fleet = await startBuilders([{ generation, alias: "itchy" }]);
  await using client = await createClient(fleet, { generation });
  const file = client.write("default.nix", EXPRESSION);
  const program = (path: string, text: string): string => {
    const inside = client.write(path, text);
    chmodSync(join(client.instance.directory, inside), 0o755);
    return inside;
  };
  const upload = program("upload", '#!/bin/sh\necho "uploading $OUT_PATHS"\n');
  const compare = program("compare", '#!/bin/sh\ndiff -r "$1" "$2" | head -n 4\n');
  const result = await client.run([
    ...["-f", file, "tool", "stamp", "site", "--keep-going", "--no-out-link", "--ui", "plain"],
    ...["--repeat", "1", "--option", "enforce-determinism", "false", "--rounds-on", "any"],
    ...["--option", "run-diff-hook", "true", "--option", "diff-hook", compare, "--option", "post-build-hook", upload],
    ...["-j1", "--builders", fleet.machines({ maxJobs: 2, features: ["big-parallel"] })],
    ...["--record", "/homes/root/recording.jsonl", ...flags],
  ]);
  if (result.status !== 100) throw new Error(`${name}: expected status 100, found ${result.status}: ${result.stderr}`);
  const text = readFileSync(join(client.instance.directory, "homes/root/recording.jsonl"), "utf8");
  // What tells hosts apart in samples changes with every start of a machine, and so would the fixtures.
  const host = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  return text.replaceAll("/homes/root", "/home/user").replaceAll(host, "00000000-0000-4000-8000-000000000000");
}

/** @throws when the recording is not what the tests want to be fed */
function check(name: string, text: string): void {
  const { events } = parseRecording(text.split("\n"), name);
  expectGrammar(events);
  const has = new Set<string>(
    events.flatMap(({ event }) => {
      if (event.type === "goalFinished") return [event.type, event.result.type];
      if (event.type === "copyStarted") return [event.type, event.direction];
      if (event.type === "roundFinished") return [event.type, event.verdict];
      return [event.type, ...(event.type === "hookQueued" ? [event.kind] : [])];
    }),
  );
  const wanted = ["built", "failed", "notBuilt", "upload", "download", "first", "same", "differs", "postBuild", "diff"];
  wanted.push("buildLogged", "buildPhaseChanged", "outputDiffered");
  const missing = wanted.filter((what) => !has.has(what));
  if (missing.length > 0) throw new Error(`${name}: the run had no ${missing.join(", ")}`);
  if (text.length > MOST_BYTES) throw new Error(`${name}: ${text.length} bytes are too many`);
  for (const word of ["/tmp/", "/root", "/work", process.cwd()])
    if (text.includes(word)) throw new Error(`${name}: '${word}' is of this machine`);
}

const generations = await nixGenerations();
const queued = ["--option", "post-build-hook-mode", "queued"];
const fixtures: Fixture[] = generations.map((generation, index) => ({
  name: `nix-${generation.version.split(".").slice(0, 2).join(".")}`,
  generation,
  // The oldest shows hooks that builds wait for, the others those that run beside them.
  flags: index === 0 ? [] : queued,
}));
const [host] = generations;
if (host !== undefined)
  fixtures.push({ name: "embedded", generation: host, flags: ["--store", "/homes/root/my-nix", ...queued] });
mkdirSync(FOLDER, { recursive: true });
const names = process.argv.slice(2);
for (const fixture of fixtures) {
  if (names.length > 0 && !names.includes(fixture.name)) continue;
  const text = await record(fixture);
  const path = join(FOLDER, `${fixture.name}.jsonl`);
  check(fixture.name, text);
  writeFileSync(path, text);
  process.stdout.write(`${path}: ${text.length} bytes\n`);
}
