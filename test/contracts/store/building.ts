// What every store that builds must do, whatever runs its builders.
import { describe, expect, it } from "vitest";
import { EngineError } from "../../../src/engine/base/errors.ts";
import { isSuccess } from "../../../src/engine/derivation/build-result.ts";
import { byteStringOf } from "../../../src/engine/formats/byte-string.ts";
import type { StorePath } from "../../../src/engine/formats/store-path.ts";
import type { BuildAnswer, BuildMode, BuildReporter, BuildRequest } from "../../../src/engine/stores/store.ts";
import { processesWith, until } from "../../support/processes.ts";
import { openStores } from "./opened.ts";
import { add, bytesOf, fileNar, freshPath, sample } from "./samples.ts";
import { type BuildingStore, type BuildSubject, demanding } from "./subject.ts";

/** Declares the tests of `BuildStore`. */
export function buildContract(subject: BuildSubject): void {
  describe(`${subject.name} as a store that builds`, () => {
    const { open, closedHere } = openStores(subject);
    const never = new AbortController().signal;
    const build = (store: BuildingStore, request: BuildRequest, heard = new Heard(), signal = never) =>
      store.build(request, heard, signal);
    const wish = (name: string, script: string, more: Wish = {}): BuildRequest =>
      requestOf(subject, name, script, more);
    const outOf = ({ derivation }: BuildRequest, name = "out"): StorePath => {
      const output = derivation.outputs.get(name);
      if (output === undefined || !("path" in output)) throw new Error(`no path for ${name}`);
      return output.path;
    };

    it("runs a builder, whose lines are heard in order, and says what came of it", async () => {
      const store = await open();
      const input = sample("input", { contents: () => "from the input" });
      await add(store, [input]);
      const script = `i=0; while [ $i -lt 300 ]; do echo "line $i"; echo "line $i, other" >&2; i=$((i+1)); done
        read x < ${input.path} || :; printf "%s %s %s" "$x" ${input.path} $out > $out; printf dev > $dev`;
      const request = wish("good", script, { inputs: [input.path], outputs: ["out", "dev"] });
      const heard = new Heard();
      const { result, outputs } = await build(store, request, heard);
      expect(result).toMatchObject({ status: "Built", errorMessage: "", isNonDeterministic: false });
      const lines = Array.from({ length: 300 }, (_, index) => [`line ${index}`, `line ${index}, other`]).flat();
      expect(heard.lines.filter((line) => line.startsWith("line"))).toEqual(lines);
      expect(heard.order[0]).toBe("started");
      expect(heard.order.filter((what) => what === "started")).toHaveLength(1);

      expect([...outputs.keys()].sort()).toEqual(["dev", "out"]);
      const out = outputs.get("out")!;
      const nar = fileNar(`from the input ${input.path} ${out.path}`);
      expect(out.path).toBe(outOf(request));
      expect(out.references).toEqual([input.path, out.path].sort());
      expect(out.narSize).toBe(BigInt(nar.length));
      expect(Buffer.compare(await bytesOf(store.narFromPath(out.path, out.narSize)), nar)).toBe(0);
      expect(outputs.get("dev")).toMatchObject({ path: outOf(request, "dev"), references: [] });
      const paths = [outOf(request), outOf(request, "dev")];
      for (const asked of [store, await open()]) expect(await asked.queryValidPaths(paths)).toEqual(new Set(paths));
    });

    it("says of what is valid already that it is, and runs nothing", async () => {
      const store = await open();
      const request = wish("twice", "echo once; echo twice > $out");
      const first = await build(store, request);
      for (const asked of [store, await open()]) {
        const heard = new Heard();
        const { result, outputs } = await build(asked, request, heard);
        expect(result).toMatchObject({ status: "AlreadyValid", errorMessage: "" });
        expect(outputs.get("out")?.narHash).toEqual(first.outputs.get("out")?.narHash);
        expect(heard.lines).not.toContain("once");
      }
    });

    it.each([
      ["that fails", "echo first words; echo last words; exit 3", /exit code 3/],
      ["that makes nothing", "echo first words; echo last words", /failed to produce output/],
    ])("says of a builder %s what became of it", async (_what, script, message) => {
      const store = await open();
      const request = wish("bad", script);
      const heard = new Heard();
      const { result, outputs } = await build(store, request, heard);
      expect(isSuccess(result.status)).toBe(false);
      expect(result.errorMessage).toMatch(message);
      expect(outputs).toEqual(new Map());
      expect(heard.lines.filter((line) => line.endsWith("words"))).toEqual(["first words", "last words"]);
      expect(await store.queryValidPaths([outOf(request)])).toEqual(new Set());
      expect((await build(store, wish("after", "echo after > $out"))).result.status).toBe("Built");
    });

    it("counts a builder's own failure as final", async () => {
      const { result } = await build(await open(), wish("final", "exit 1"));
      expect(result.status).toBe("PermanentFailure");
    });

    it("does not build what needs a path that is not valid", async () => {
      const store = await open();
      const missing = freshPath("missing");
      const request = wish("needy", "echo built; echo x > $out", { inputs: [missing] });
      const heard = new Heard();
      const { result, outputs } = await build(store, request, heard);
      expect(isSuccess(result.status)).toBe(false);
      expect(result.errorMessage).toContain(missing);
      expect(outputs).toEqual(new Map());
      expect(heard.lines).not.toContain("built");
    });

    it("does not build for another system", async () => {
      const store = await open();
      const { result } = await build(store, wish("foreign", "echo x > $out", { system: "pdp11-unix" }));
      expect(isSuccess(result.status)).toBe(false);
      expect(result.errorMessage).toContain("pdp11-unix");
    });

    it("does not mix what two builds say at the same time", async () => {
      const store = await open();
      await store.warmUp(2);
      const script = (who: string): string =>
        `i=0; while [ $i -lt 200 ]; do echo "${who} $i"; i=$((i+1)); done; echo ${who} > $out`;
      const both = ["one", "two"].map((who) => ({ who, heard: new Heard(), request: wish(who, script(who)) }));
      const answers = await Promise.all(both.map(({ request, heard }) => build(store, request, heard)));
      for (const [index, { who, heard, request }] of both.entries()) {
        expect(heard.lines.filter((line) => /^(?:one|two) \d+$/.test(line))).toEqual(
          Array.from({ length: 200 }, (_, line) => `${who} ${line}`),
        );
        expect(answers[index]?.outputs.get("out")?.path).toBe(outOf(request));
      }
    });

    it(`${subject.checks ? "checks" : "cannot check"} what was built`, async () => {
      const store = await open();
      const same = wish("same", "echo same > $out");
      const random = wish("random", "read x < /proc/sys/kernel/random/uuid; echo $x > $out");
      await build(store, same);
      const first = await build(store, random);
      const check = (request: BuildRequest): Promise<BuildAnswer> => build(store, { ...request, mode: "check" });
      if (!subject.checks) {
        await expect(check(same)).rejects.toMatchObject({ code: "PROTOCOL_UNSUPPORTED" });
        return;
      }
      expect((await check(same)).result.status).toBe("Built");
      const { result } = await check(random);
      expect(result.status).toBe("NotDeterministic");
      expect(result.errorMessage).toContain("differs");
      const [info] = (await store.queryPathInfos([outOf(random)])).values();
      expect(info?.narHash).toEqual(first.outputs.get("out")?.narHash);
    });

    it("refuses a build whose signal is aborted already, with the reason", async () => {
      const store = await open();
      const heard = new Heard();
      const request = wish("unwanted", "echo built; echo x > $out");
      await expect(build(store, request, heard, AbortSignal.abort(reason))).rejects.toBe(reason);
      expect(heard.order).toEqual([]);
      expect(await store.queryValidPaths([outOf(request)])).toEqual(new Set());
    });

    /** Starts a builder that waits for long, and knows whether it lives. */
    async function startSleeper(store: BuildingStore, signal: AbortSignal) {
      const seconds = `9${process.pid}${String(++sleepers).padStart(3, "0")}`;
      const request = wish("sleeper", `echo asleep; ${subject.sleep(seconds)}; echo x > $out`);
      const heard = new Heard();
      const building = build(store, request, heard, signal);
      building.catch(() => undefined);
      const lives = (): boolean => processesWith(`\0${seconds}\0`).length > 0;
      await until("the builder to sleep", () => heard.lines.includes("asleep") && lives());
      const dies = (): Promise<void> => until("the builder to be gone", () => !lives());
      return { building, dies, out: outOf(request) };
    }

    it("kills the builder when the signal is aborted, and goes on", async () => {
      const store = await open();
      const abort = new AbortController();
      const { building, dies, out } = await startSleeper(store, abort.signal);
      abort.abort(reason);
      await expect(building).rejects.toBe(reason);
      await dies();
      expect(await store.queryValidPaths([out])).toEqual(new Set());
      expect((await build(store, wish("after", "echo after > $out"))).result.status).toBe("Built");
    });

    const closed = new EngineError("store", "TEST_CLOSED", "closed by the test");

    demanding(subject, "closing refuses builds with the reason")(
      "kills the builder when the store is closed, and refuses the build with the reason",
      async () => {
        const store = await open();
        const { building, dies } = await startSleeper(store, never);
        closedHere(store);
        await store.close(closed);
        await expect(building).rejects.toBe(closed);
        await dies();
      },
    );

    demanding(subject, "builds after closing are refused")("refuses a later build", async (inTime) => {
      const store = await open();
      await store.describe();
      closedHere(store);
      await store.close(closed);
      await expect(inTime(build(store, wish("too-late", "echo x > $out")))).rejects.toBeInstanceOf(EngineError);
    });
  });
}

const reason = new Error("no longer wanted");
let sleepers = 0;

interface Wish {
  readonly inputs?: readonly StorePath[];
  readonly outputs?: readonly string[];
  readonly system?: string;
  readonly mode?: BuildMode;
}

function requestOf(subject: BuildSubject, name: string, script: string, wish: Wish): BuildRequest {
  const { inputs = [], outputs = ["out"], system = subject.system, mode = "normal" } = wish;
  const paths = new Map(outputs.map((output) => [output, freshPath(output === "out" ? name : `${name}-${output}`)]));
  const drvPath = freshPath(`${name}.drv`);
  // Nix takes derivations that differ in nothing but their outputs' paths for one.
  const env = {
    itself: drvPath,
    name,
    system,
    builder: "/bin/sh",
    PATH: "/bin:/usr/bin",
    ...Object.fromEntries(paths),
  };
  return {
    drvPath,
    mode,
    derivation: {
      name,
      outputs: new Map([...paths].map(([output, path]) => [output, { type: "inputAddressed", path }])),
      inputSrcs: new Set(inputs),
      platform: system,
      builder: byteStringOf("/bin/sh"),
      args: [byteStringOf("-c"), byteStringOf(script)],
      env: new Map(Object.entries(env).map(([key, value]) => [byteStringOf(key), byteStringOf(value)])),
    },
    options: { keepFailed: false, maxSilentTime: 0, timeout: 0, maxLogSize: 0n, cores: 1, keepCheck: false },
  };
}

/** What was heard of one build. */
class Heard implements BuildReporter {
  readonly lines: string[] = [];
  readonly order: ("started" | "logged")[] = [];
  started(): void {
    this.order.push("started");
  }
  phase(): void {}
  logged(lines: readonly string[]): void {
    this.order.push("logged");
    this.lines.push(...lines);
  }
  noticed(): void {}
}
