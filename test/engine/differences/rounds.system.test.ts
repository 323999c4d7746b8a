// Differences found by real Nix: what each generation says and keeps, fetched here over SSH, and the diff hook on both results.
import { chmodSync, lstatSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../../src/engine/base/clock.ts";
import { refusesInvalid } from "../../../src/engine/differences/keep/other-result.ts";
import {
  buildWhole,
  openLocalScratch,
  openSshScratch,
  type ScratchStore,
} from "../../../src/engine/differences/keep/scratch-store.ts";
import { buildCompared } from "../../../src/engine/differences/perform/compared-build.ts";
import { foundByCheck, foundByHash, joinFound } from "../../../src/engine/differences/perform/found.ts";
import { parseCheckDifferences } from "../../../src/engine/differences/report/messages.ts";
import { strategyFor } from "../../../src/engine/scheduler/plan/rounds/check-strategy.ts";
import { nixGenerations } from "../../support/nix-generations.ts";
import { busyboxPath } from "../../support/nixpkgs.ts";
import { buildOptions, hookSettings, never, Rig, type RigBuilder, recordAll, silent } from "./rig.ts";

const generations = await nixGenerations();
const usable = generations.length === 3 && busyboxPath() !== null;

describe.skipIf(!usable)(
  "rounds (skipped without root, three generations of Nix, openssh-server and busybox-static)",
  () => {
    let rig: Rig;
    let hook: string;
    let each: (work: (builder: RigBuilder) => Promise<void>) => Promise<void>;

    beforeAll(async () => {
      rig = await Rig.start(generations[0]!, [
        ...generations.map((generation) => ({ generation })),
        { generation: generations[1]!, account: "tsbt-plain" as const },
      ]);
      hook = join(rig.client.directory, "my-diff-hook");
      writeFileSync(
        hook,
        `#!/bin/sh
echo "args $*"
echo "cwd $(pwd) uid $(id -u) gid $(id -g) groups $(id -G) colour $COLOUR"
[ -d "$4" ] && [ -w "$4" ] && echo "temporary"
{ echo spoilt > "$1"; } 2>/dev/null && echo "WROTE $1"
{ echo spoilt > "$2"; } 2>/dev/null && echo "WROTE $2"
rm -f "$1" "$2" 2>/dev/null && echo REMOVED
mount -o remount,bind,rw "$1" 2>/dev/null && echo REMOUNTED
echo "first $(cat "$1")" >&2
echo "other $(cat "$2")"
exit 3
`,
      );
      chmodSync(hook, 0o755);
      each = async (work) => {
        for (const builder of rig.builders.slice(0, 3)) await work(builder);
      };
    });
    afterAll(() => rig?.stop());

    it("are told by every generation in words that are understood", () =>
      each(async (builder) => {
        const made = await rig.derivation("echo $RANDOM > $out");
        const { status, message } = await rig.check(builder, made);
        const out = made.paths.get("out")!;
        expect(status).toBe("NotDeterministic");
        expect(parseCheckDifferences(message), message).toEqual([
          { drvPath: made.drvPath, output: out, realOutput: out, realOther: `${out}.check` },
        ]);
      }));

    it("leave a result that comes here from every generation, beside the store path", () =>
      each(async (builder) => {
        const { version } = generations[rig.builders.indexOf(builder)]!;
        expect(refusesInvalid(builder.machine.nixVersion)).toBe(version.startsWith("2.34"));
        const made = await rig.derivation(
          "mkdir $out; echo $RANDOM > $out/number; ln -s number $out/link; echo '#!sh' > $out/x; chmod +x $out/x",
        );
        const { build, message } = await rig.check(builder, made);
        const { differences, of } = rig.differences(null, true);
        const out = made.paths.get("out")!;
        const words = await recordAll(
          differences,
          foundByCheck(build, message, builder.machine, false, new Map()),
          never,
        );

        const kept = rig.client.hostPath(`${out}.check`);
        expect(words).toEqual([
          `derivation '${made.drvPath}' may not be deterministic: output '${out}' differs from '${kept}'`,
        ]);
        const there = builder.builder.instance;
        expect(readFileSync(join(kept, "number"), "utf8")).toBe(
          readFileSync(there.hostPath(`${out}.check/number`), "utf8"),
        );
        expect(readFileSync(join(kept, "number"), "utf8")).not.toBe(
          readFileSync(there.hostPath(`${out}/number`), "utf8"),
        );
        expect([lstatSync(join(kept, "number")).mode & 0o777, lstatSync(join(kept, "x")).mode & 0o777]).toEqual([
          0o444, 0o555,
        ]);
        expect(lstatSync(join(kept, "number")).mtimeMs).toBe(1000);
        expect(of("outputDiffered")).toMatchObject([
          { output: "out", otherPath: kept, round: 2, summary: [expect.stringContaining("number: ")] },
        ]);

        // What the collector of a real Nix thinks of it, while the run goes on and after.
        await rig.client.run("nix-store", ["--gc"]);
        expect(readdirSync(kept)).toEqual(["link", "number", "x"]);
      }));

    it("run the diff hook as Nix does, which can read both results and write to neither", () =>
      each(async (builder) => {
        const made = await rig.derivation("echo $RANDOM > $out");
        const { build, message } = await rig.check(builder, made);
        const { differences, of } = rig.differences(hookSettings(hook), false);
        await recordAll(differences, foundByCheck(build, message, builder.machine, false, new Map()), never);

        const out = made.paths.get("out")!;
        const there = builder.builder.instance;
        const [one, two] = [out, `${out}.check`].map((path) => readFileSync(there.hostPath(path), "utf8").trim());
        const lines = of("hookLogged").flatMap((event) => event.lines);
        const kept = rig.client.hostPath(`${out}.check`);
        // The first result is not valid here: it is brought along for as long as the hook runs.
        const first = rig.client.hostPath(`${out}.check-1`);
        expect(lines).toContain("cwd / uid 0 gid 0 groups 0 colour blue");
        expect(lines[0]).toMatch(new RegExp(`^args ${first} ${kept} ${made.drvPath} /\\S+$`));
        expect(lines).toEqual(expect.arrayContaining(["temporary", `first ${one}`, `other ${two}`]));
        expect(lines.join("\n")).not.toMatch(/WROTE|REMO/);
        expect(of("hookQueued")).toMatchObject([{ kind: "diff", paths: [first, kept] }]);
        expect(of("hookFinished")).toMatchObject([
          {
            result: {
              type: "failed",
              reason: `diff hook execution failed: diff-hook program '${hook}' failed with exit code 3`,
            },
          },
        ]);
        expect(readdirSync(rig.client.hostPath("/nix/store"))).toContain(basename(kept));
        expect(readdirSync(rig.client.hostPath("/nix/store"))).not.toContain(basename(first));
      }));

    it("run the diff hook as the build user when there is one", async () => {
      const builder = rig.builders[0]!;
      const made = await rig.derivation("echo $RANDOM > $out");
      const { build, message } = await rig.check(builder, made);
      const { differences, of } = rig.differences(hookSettings(hook, { user: { uid: 61002, gid: 61003 } }), false);
      await recordAll(differences, foundByCheck(build, message, builder.machine, false, new Map()), never);
      const lines = of("hookLogged").flatMap((event) => event.lines);
      expect(lines).toContain("cwd / uid 61002 gid 61003 groups 61003 colour blue");
      expect(lines).toContain("temporary");
      expect(lines.join("\n")).not.toMatch(/WROTE|REMO/);
    });

    it("keep both results of a round that is taken back", async () => {
      const builder = rig.builders[1]!;
      const made = await rig.derivation("echo $RANDOM > $out");
      const { build, message } = await rig.check(builder, made, "round", false);
      const { differences, of } = rig.differences(null, true);
      const words = await recordAll(
        differences,
        foundByCheck(build, message, builder.machine, false, new Map()),
        never,
      );
      const out = made.paths.get("out")!;
      const kept = rig.client.hostPath(`${out}.check`);
      expect(words).toEqual([`output '${out}' of '${made.drvPath}' differs from '${kept}' from previous round`]);
      expect(of("outputDiffered")).toMatchObject([
        { firstPath: rig.client.hostPath(`${out}.check-1`), otherPath: kept },
      ]);
      const there = builder.builder.instance;
      expect(readFileSync(rig.client.hostPath(`${out}.check-1`))).toEqual(readFileSync(there.hostPath(out)));
    });

    it("are only looked at when nothing is to be kept", async () => {
      const made = await rig.derivation("echo $RANDOM > $out");
      const builder = rig.builders[2]!;
      const { build, message } = await rig.check(builder, made);
      const { differences, of } = rig.differences(null, false);
      const words = await recordAll(
        differences,
        foundByCheck(build, message, builder.machine, false, new Map()),
        never,
      );
      const out = made.paths.get("out")!;
      expect(words).toEqual([`derivation '${made.drvPath}' may not be deterministic: output '${out}' differs`]);
      expect(of("outputDiffered")).toMatchObject([
        { firstPath: out, otherPath: null, summary: [expect.stringMatching(/first at byte/)] },
      ]);
      expect(readdirSync(rig.client.hostPath("/nix/store")).filter((name) => name.startsWith(basename(out)))).toEqual(
        [],
      );
    });

    it("use a directory of our own where the store cannot be written", async () => {
      const made = await rig.derivation("echo $RANDOM > $out");
      const builder = rig.builders[0]!;
      const { build, message } = await rig.check(builder, made);
      const { differences } = rig.differences(null, true, null);
      const words = await recordAll(
        differences,
        foundByCheck(build, message, builder.machine, false, new Map()),
        never,
      );
      expect(words[0]).toContain(
        ` differs from '${join(rig.client.directory, "kept", basename(made.paths.get("out")!))}.check'`,
      );
    });

    it("on this machine use the .check of its own Nix where it is", async () => {
      const made = await rig.derivation("echo $RANDOM > $out");
      const first = await rig.build(rig.store, made, "normal");
      const { result } = await rig.build(rig.store, made, "check");
      const here = { ...rig.builders[0]!, store: rig.store };
      const build = rig.compared(here, made, here, first.outputs, "check", true);
      const out = made.paths.get("out")!;
      // The client is in a mount namespace of its own: its paths lie elsewhere on this disk.
      const message = result.errorMessage.replaceAll(out, rig.client.hostPath(out));
      const { differences, of } = rig.differences(hookSettings(hook), false);
      const local = { ...here.machine, store: rig.store, command: null };
      await recordAll(differences, foundByCheck(build, message, local, true, new Map()), never);
      const lines = of("hookLogged").flatMap((event) => event.lines);
      expect(lines[0]).toContain(`args ${rig.client.hostPath(out)} ${rig.client.hostPath(`${out}.check`)} `);
      expect(lines.join("\n")).not.toMatch(/WROTE|REMO/);
      // Without anybody asking for it, nothing is left.
      const again = rig.differences(null, false);
      await recordAll(again.differences, foundByCheck(build, message, local, true, new Map()), never);
      expect(again.of("outputDiffered")[0]?.summary[0]).toMatch(/first at byte/);
      expect(readdirSync(rig.client.hostPath("/nix/store"))).not.toContain(`${basename(out)}.check`);
    });

    it("on different machines are compared by hash, and both results come here", async () => {
      const [one, two] = [rig.builders[0]!, rig.builders[2]!];
      const made = await rig.derivation("echo $RANDOM > $out; echo $RANDOM > $doc; echo same > $man", [
        "out",
        "doc",
        "man",
      ]);
      const first = await rig.build(one.store, made, "normal");
      const second = await rig.build(two.store, made, "normal");
      const build = rig.compared(two, made, one, first.outputs, "round", true);
      const found = foundByHash(build, two.store, second.outputs);
      expect(found.map(({ output }) => output).sort()).toEqual(["doc", "out"]);
      const { differences, of } = rig.differences(hookSettings(hook), true);
      await recordAll(differences, found, never);
      expect(
        of("outputDiffered")
          .map(({ output }) => output)
          .sort(),
      ).toEqual(["doc", "out"]);
      expect(of("hookFinished")).toHaveLength(2);
      for (const { path } of found)
        expect(readFileSync(rig.client.hostPath(`${path}.check`))).toEqual(
          readFileSync(two.builder.instance.hostPath(path)),
        );
    });

    it("of several outputs are all found by building whole in a store of its own, also without root", async () => {
      for (const builder of rig.builders) {
        const made = await rig.derivation("echo $RANDOM > $out; echo $RANDOM > $doc; echo same > $man", [
          "out",
          "doc",
          "man",
        ]);
        const first =
          builder === rig.builders[3]
            ? await rig.build(rig.builders[0]!.store, made, "normal")
            : await rig.build(builder.store, made, "normal");
        const { reference, store } = builder;
        const { transports, sshSettings } = rig;
        const scratch = await openSshScratch(
          { reference, transports, sshSettings, clock: systemClock, wrap: (opener) => opener },
          never,
        );
        const build = rig.compared(builder, made, builder, first.outputs, "check", true);
        try {
          const request = { drvPath: made.drvPath, derivation: made.derivation, options: buildOptions };
          const from = { store: rig.store, infos: rig.infos };
          const whole = await buildWhole({ scratch, request, from, report: silent, transferred: () => {} }, never);
          expect(whole.result.status, whole.result.errorMessage).toBe("Built");
          const told = foundByCheck(build, "derivation 'x' …", builder.machine, false, new Map()).slice(0, 1);
          const found = joinFound(foundByHash(build, scratch.store, whole.outputs), told);
          expect(found.map(({ output }) => output).sort()).toEqual(["doc", "out"]);
          const { differences, of } = rig.differences(null, true);
          await recordAll(
            differences,
            found.filter(({ candidates }) => candidates.length > 0),
            never,
          );
          expect(of("noticeRaised")).toEqual([]);
          expect(of("outputDiffered").every(({ otherPath }) => otherPath?.endsWith(".check"))).toBe(true);
        } finally {
          await scratch.dispose();
        }
        const left = readdirSync("/var/tmp").filter((name) => name.startsWith("tsbuild-top-check."));
        expect([store.uri, left]).toEqual([store.uri, []]);
      }
    });

    it("of several outputs are all found on this machine, too", async () => {
      const made = await rig.derivation("echo $RANDOM > $out; echo $RANDOM > $doc", ["out", "doc"]);
      const first = await rig.build(rig.store, made, "normal");
      const here = { ...rig.builders[0]!, store: rig.store };
      const build = rig.compared(here, made, here, first.outputs, "check", true);
      const nixDaemon = rig.client.command("nix-daemon");
      const scratch = await openLocalScratch(
        { transports: rig.transports, clock: systemClock, nixDaemon, parent: "/var/tmp" },
        never,
      );
      const request = { drvPath: made.drvPath, derivation: made.derivation, options: buildOptions };
      const from = { store: rig.store, infos: rig.infos };
      const whole = await buildWhole({ scratch, request, from, report: silent, transferred: () => {} }, never);
      expect(foundByHash(build, scratch.store, whole.outputs)).toHaveLength(2);
      await scratch.dispose();
      expect(readdirSync("/var/tmp").filter((name) => name.startsWith("tsbuild-top-check."))).toEqual([]);
    });

    it("cost one check where nothing differs, and show every output where something does", () =>
      each(async (builder) => {
        const compare = async (script: string, withScratch: boolean) => {
          const made = await rig.derivation(script, ["out", "doc", "man"]);
          const first = await rig.build(builder.store, made, "normal");
          const { differences, of } = rig.differences(hookSettings(hook), false);
          const { reference, machine, store } = builder;
          const { transports, sshSettings } = rig;
          const [told, opened]: [string[], string[]] = [[], []];
          const open = async (): Promise<ScratchStore> => {
            opened.push("scratch");
            return openSshScratch(
              { reference, transports, sshSettings, clock: systemClock, wrap: (opener) => opener },
              never,
            );
          };
          const request = { drvPath: made.drvPath, derivation: made.derivation, options: buildOptions };
          const from = { store: rig.store, infos: rig.infos };
          const answer = await buildCompared(
            {
              build: rig.compared(builder, made, builder, first.outputs, "check", true),
              derivation: made.derivation,
              machine: { ...machine, store },
              protocol: (await store.describe()).protocol,
              isDestination: false,
              run: (mode) => rig.build(store, made, mode),
              openScratch: withScratch ? open : null,
              runIn: (scratch) => buildWhole({ scratch, request, from, report: silent, transferred: () => {} }, never),
              secure: (found) => differences.secure(found, never),
              choose: async (side) => {
                const strategy = strategyFor(side);
                told.push(strategy.type);
                return strategy;
              },
              incomplete: (reason) => told.push(reason),
            },
            never,
          );
          const secured = answer.type === "differs" ? answer.secured : [];
          for (const one of secured) await differences.explain(one, never);
          return { made, answer, told, opened, secured, of };
        };
        const stable = await compare("echo 1 > $out; echo 2 > $doc; echo 3 > $man", true);
        expect([stable.answer.type, stable.told, stable.opened]).toEqual(["same", ["check"], []]);
        const unstable = await compare("echo $RANDOM > $out; echo $RANDOM > $doc; echo same > $man", true);
        expect([unstable.told, unstable.opened]).toEqual([["check"], ["scratch"]]);
        expect(unstable.secured.map(({ found }) => found.output).sort()).toEqual(["doc", "out"]);
        for (const { found, message, otherPath } of unstable.secured) {
          expect(otherPath).toBe(rig.client.hostPath(`${found.path}.check`));
          expect(message).toContain(`output '${found.path}' differs from '${otherPath}'`);
        }
        expect(unstable.of("hookFinished")).toHaveLength(2);
        const closed = await compare("echo $RANDOM > $out; echo $RANDOM > $doc; echo same > $man", false);
        expect(closed.secured).toHaveLength(1);
        expect(closed.told).toEqual(["check", "no store of its own can be opened on the machine"]);
      }));

    it("say so when a result cannot be had, and go on", async () => {
      const made = await rig.derivation("echo $RANDOM > $out");
      const builder = rig.builders[2]!;
      const { build, message } = await rig.check(builder, made);
      const closed = { ...builder.machine, command: null };
      const { differences, of } = rig.differences(null, true);
      await recordAll(differences, foundByCheck(build, message, closed, false, new Map()), never);
      expect(of("noticeRaised")).toMatchObject([
        { level: "warning", code: "ROUNDS_RESULT_NOT_KEPT", message: expect.stringContaining("no command") },
      ]);
      expect(of("outputDiffered")).toMatchObject([{ otherPath: null, summary: [] }]);
      // A command that fails says why.
      await builder.builder.instance.run("rm", ["-f", `${made.paths.get("out")}.check`]);
      const gone = rig.differences(null, true);
      await recordAll(gone.differences, foundByCheck(build, message, builder.machine, false, new Map()), never);
      expect(gone.of("noticeRaised")[0]?.message).toMatch(/r\d+\.check.*No such file|does not exist/i);
    });

    it("take the machine's older result for the other one when the new one is the first's equal", async () => {
      // One machine has another result from before; its check now makes what the first machine made.
      const [one, two] = [rig.builders[0]!, rig.builders[1]!];
      const made = await rig.derivation("cat /var/tmp/tsbt-rounds-input > $out");
      const write = (text: string): void => writeFileSync("/var/tmp/tsbt-rounds-input", text);
      write("A\n");
      const first = await rig.build(one.store, made, "normal");
      write("B\n");
      const older = await rig.build(two.store, made, "normal");
      write("A\n");
      const { result } = await rig.build(two.store, made, "check");
      expect(result.status).toBe("NotDeterministic");
      const build = rig.compared(two, made, one, first.outputs, "check", true);
      const { differences, of } = rig.differences(null, true);
      await recordAll(differences, foundByCheck(build, result.errorMessage, two.machine, false, older.outputs), never);
      expect(readFileSync(of("outputDiffered")[0]!.otherPath!, "utf8")).toBe("B\n");
      rmSync("/var/tmp/tsbt-rounds-input");
    });
  },
);
