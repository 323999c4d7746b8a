// Runs worth looking at, one a state of the board: golden frames, pictures and the eye check are made from them.
import type { ClaimId, CopyId, HookId } from "../../src/engine/events/ids.ts";
import { drv, type EventScript, eventScript, machineId } from "./event-script.ts";

const MIB = 2 ** 20;

const TESTS = ["nixos-test-boot", "nixos-test-install", "nixos-test-login", "nixos-test-firewall"] as const;
const PACKAGES = Array.from({ length: 18 }, (_, index) => `package-${index + 1}-1.${index + 1}`);

/** The run of the README: three builders and this machine, transfers, rounds, a cool-down, what waits, hooks, a failure. */
export function busyScene(): EventScript {
  return busyRun().script;
}

/** What is under way at the end of the busy scene. */
interface BusyRun {
  readonly script: EventScript;
  readonly builds: readonly { readonly name: string; readonly machine: string; readonly claim: ClaimId }[];
  readonly copy: CopyId;
  /** The first runs, the others wait. */
  readonly hooks: readonly HookId[];
}

function busyRun(): BusyRun {
  const script = eventScript().start({ rounds: 1 }).stage("opening").stage("evaluating", "./default.nix").wait(600);
  script
    .stage("planning")
    .wait(400)
    .stage("building")
    .machine("itchy", { slots: 8, speedFactor: 2, cores: 8, buildCores: 2, supportedFeatures: ["big-parallel"] });
  script.machine("scratchy", { slots: 4, cores: 8, buildCores: 2, supportedFeatures: ["kvm"] });
  script.machine("poochie", {
    slots: 2,
    cores: 4,
    buildCores: 2,
    mandatoryFeatures: ["benchmark"],
    supportedFeatures: ["kvm", "benchmark"],
  });
  script.machine("local", { slots: 4, cores: 4, buildCores: 1, supportedFeatures: ["nixos-test", "kvm"] });
  script.up("itchy", "local").state("poochie", { type: "connecting" });
  const names: Record<
    string,
    { inputs?: readonly string[]; features?: readonly string[]; isTarget?: boolean; expectedMs?: number | null }
  > = {};
  for (const done of ["bash-5.2p26", "coreutils-9.4", "gnumake-4.4.1", "perl-5.38.2", "zlib-1.3.1", "openssl-3.0.13"])
    names[done] = {};
  for (const test of TESTS) names[test] = { features: ["kvm", "nixos-test"], inputs: ["linux-6.6.18"] };
  names["gcc-13.2.0"] = { inputs: ["bash-5.2p26"], expectedMs: 480_000 };
  names["linux-6.6.18"] = { inputs: ["gnumake-4.4.1"], expectedMs: 900_000 };
  names["python3-3.11.8"] = { inputs: ["zlib-1.3.1"], expectedMs: 95_000 };
  names["llvm-17.0.6"] = { expectedMs: 1_500_000 };
  names["foo-1.0"] = {};
  names["bar-0.3"] = { inputs: ["perl-5.38.2"] };
  names["git-2.43.2"] = { inputs: ["openssl-3.0.13"], expectedMs: 60_000 };
  for (const name of PACKAGES) names[name] = { inputs: ["gcc-13.2.0", "llvm-17.0.6"] };
  names["system-24.05"] = { inputs: Object.keys(names), isTarget: true };
  script.goals(names);
  for (const test of TESTS)
    script.waiting(test, { type: "slots", machines: [machineId("scratchy"), machineId("local")] });
  for (const name of PACKAGES)
    script.waiting(name, {
      type: "inputs",
      pending: 2,
      first: [drv("gcc-13.2.0"), drv("llvm-17.0.6")],
    });
  script.waiting("system-24.05", {
    type: "inputs",
    pending: 30,
    first: [drv("gcc-13.2.0"), drv("linux-6.6.18"), drv("llvm-17.0.6")],
  });
  for (const name of ["zlib-1.3.1", "openssl-3.0.13"]) {
    script.add({ type: "substitutionStarted", goal: drv(name), paths: [], from: "https://cache.nixos.org" });
    script.add({
      type: "substitutionProgressed",
      goal: drv(name),
      doneBytes: String(Math.round(9.1 * MIB)),
      expectedBytes: String(Math.round(9.1 * MIB)),
    });
    script.finish(name, { type: "substituted", outputs: [] });
  }
  for (const [slot, name] of ["bash-5.2p26", "coreutils-9.4", "gnumake-4.4.1", "perl-5.38.2"].entries()) {
    const claim = script.build(name, "itchy", { slot });
    script.wait(700 + slot * 130).built(claim, name, "itchy", 700 + slot * 130);
  }
  const gcc = script.build("gcc-13.2.0", "itchy", {
    slot: 0,
    expectedMs: 480_000,
    explanation: "the fastest with a free slot, and on the critical path",
  });
  const llvm = script.build("llvm-17.0.6", "itchy", { slot: 1, expectedMs: 1_500_000 });
  const bar = script.build("bar-0.3", "itchy", { slot: 2 });
  script
    .phase(gcc, "configurePhase")
    .wait(9000)
    .phase(gcc, "buildPhase")
    .phase(llvm, "buildPhase")
    .phase(bar, "buildPhase");
  script.log(
    bar,
    "building",
    "gcc -O2 -c bar.c",
    "bar.c:12:5: error: too few arguments to function 'frob'",
    "make: *** [Makefile:4: all] Error 2",
  );
  script.failed(bar, "bar-0.3", "itchy", {
    message: `builder for '${drv("bar-0.3")}' failed with exit code 2`,
    logTail: [
      "gcc -O2 -c bar.c",
      "bar.c:12:5: error: too few arguments to function 'frob'",
      "make: *** [Makefile:4: all] Error 2",
    ],
  });
  script.state("scratchy", {
    type: "coolingDown",
    reason: "connection refused",
    until: script.now + 88_000 + 14_000,
    failures: 2,
  });
  script.wait(74_000);
  const linux = script.build("linux-6.6.18", "local", { slot: 0, expectedMs: 900_000 });
  script.phase(linux, "buildPhase").wait(6000);
  const foo = script.build("foo-1.0", "itchy", { slot: 3, round: 2, rounds: 3 });
  const python = script.build("python3-3.11.8", "itchy", { slot: 4, expectedMs: 95_000 }, "sendingInputs");
  const git = script.up("poochie").build("git-2.43.2", "poochie", { slot: 0, expectedMs: 60_000 });
  script.add({
    type: "machineIdentified",
    machine: machineId("itchy"),
    nixVersion: "2.34.1",
    protocol: "worker 1.38 over SSH",
    trusted: true,
  });
  const copy = script.upload("itchy", python, 40 * MIB, 2 * MIB);
  script.wait(2000).phase(git, "checkPhase").phase(foo, "installPhase");
  script.add({ type: "copyProgressed", copy, doneBytes: String(8 * MIB) });
  script.log(
    gcc,
    "checking for stdlib.h... yes",
    "g++ -fno-PIE -c -O2 -DIN_GCC -o tree-ssa-loop.o ../../gcc/tree-ssa-loop.cc",
  );
  script.log(
    llvm,
    "[2311/5204] Building CXX object lib/Target/X86/CMakeFiles/LLVMX86CodeGen.dir/X86ISelLowering.cpp.o",
  );
  script
    .log(linux, "  CC      drivers/gpu/drm/amd/display/dc/dcn30/dcn30_hwseq.o")
    .log(foo, "installing")
    .log(git, "*** t0001-init.sh ***", "ok 14 - init with --template");
  const hook = script.hook("coreutils-9.4");
  const hooks = [hook, script.hook("gnumake-4.4.1"), script.hook("perl-5.38.2")];
  script
    .add({ type: "hookStarted", hook, attempt: 1 })
    .add({ type: "hookLogged", hook, lines: ["uploading to s3://cache"] });
  script.usage("itchy", [0.98, 0.95, 0.91, 0.88, 0.7, 0.42, 0.2, 0.1], 6.1).usage("local", [0.99, 0.4, 0.2, 0.1], 1.7);
  script.add({ type: "usageUnavailable", machine: machineId("poochie"), reason: "no /proc on this machine" });
  script.add({ type: "estimateChanged", remaining: { lowMs: 330_000, highMs: 400_000, unpredictable: 0 } });
  script
    .wait(5000)
    .add({ type: "copyProgressed", copy, doneBytes: String(21 * MIB) })
    .wait(700);
  const builds = [
    { name: "gcc-13.2.0", machine: "itchy", claim: gcc },
    { name: "llvm-17.0.6", machine: "itchy", claim: llvm },
    { name: "foo-1.0", machine: "itchy", claim: foo },
    { name: "python3-3.11.8", machine: "itchy", claim: python },
    { name: "git-2.43.2", machine: "poochie", claim: git },
    { name: "linux-6.6.18", machine: "local", claim: linux },
  ];
  return { script, builds, copy, hooks };
}

/** The first moments: nothing but the stage is known. */
export function startScene(): EventScript {
  return eventScript().start().stage("opening").stage("evaluating", "./default.nix").wait(2300);
}

/** Everything ended well. */
export function doneScene(): EventScript {
  const script = eventScript().begin().machine("local", { slots: 2, cores: 4, buildCores: 2 }).up("local");
  script.goals({ "hello-2.12.1": { isTarget: true } });
  const claim = script.build("hello-2.12.1", "local");
  script.wait(12_400).built(claim, "hello-2.12.1", "local", 12_400);
  return script
    .stage("finishing")
    .finishRun({ built: 1, outputs: ["/nix/store/5j0i560x5akgyaz7jabz3l8gzwcgb475-hello-2.12.1"] })
    .wait(300);
}

/** The busy run after it ended with its failure: everything else was built. */
export function failedScene(): EventScript {
  const { script, builds, copy, hooks } = busyRun();
  script.add({ type: "copyFinished", copy, doneBytes: String(40 * MIB), durationMs: 8000, failure: null });
  for (const { name, machine, claim } of builds) script.built(claim, name, machine);
  const together = (names: readonly string[], machine: string): void => {
    const claims = names.map((name, slot) => ({ name, claim: script.build(name, machine, { slot }) }));
    script.wait(1000);
    for (const { name, claim } of claims) script.built(claim, name, machine);
  };
  together(TESTS, "local");
  for (let index = 0; index < PACKAGES.length; index += 8) together(PACKAGES.slice(index, index + 8), "itchy");
  const because = drv("bar-0.3");
  script.finish("system-24.05", { type: "notBuilt", because, reason: "its input bar-0.3 failed" }).stage("finishing");
  for (const [index, hook] of hooks.entries()) {
    if (index > 0) script.add({ type: "hookStarted", hook, attempt: 1 });
    script.add({ type: "hookFinished", hook, result: { type: "succeeded", durationMs: 7000 } });
  }
  return script.finishRun({ exitStatus: 100, built: 32, substituted: 2, failed: 1, notBuilt: 1 }).wait(800);
}

/** Thirty builds on ten builders: more rows than most terminals have. */
export function wideScene(builders = 10, slots = 3): EventScript {
  const script = eventScript().begin();
  const names: Record<string, { expectedMs: number }> = {};
  for (let index = 0; index < builders * slots; index++)
    names[`job-${String(index).padStart(3, "0")}-2.${index % 7}`] = { expectedMs: 60_000 };
  for (let index = 0; index < builders; index++)
    script.machine(`builder-${index + 1}`, { slots, cores: 8, buildCores: 2 });
  script.goals(names);
  for (let index = 0; index < builders; index++) script.up(`builder-${index + 1}`);
  Object.keys(names).forEach((name, index) => {
    const claim = script.build(name, `builder-${(index % builders) + 1}`, {
      slot: Math.floor(index / builders),
      expectedMs: 60_000,
    });
    script
      .phase(claim, index % 3 === 0 ? "configurePhase" : "buildPhase")
      .log(claim, `compiling part ${index}`)
      .wait(250);
  });
  return script;
}

/** Three rounds on three builders: one derivation differs and has been to the diff hook, one does not, one is at it. */
export function roundsScene(): EventScript {
  const script = eventScript().begin({ rounds: 3 });
  const machines = ["itchy", "scratchy", "poochie"] as const;
  for (const machine of machines) script.machine(machine, { slots: 2, cores: 4, buildCores: 2 });
  script.up(...machines).goals({ "stamped-1.0": {}, "steady-2.1": {}, "busy-0.9": {} });
  const round = (name: string, machine: string, number: number, verdict: "first" | "same" | "differs"): void => {
    const claim = script.build(name, machine, { slot: 0, round: number, rounds: 3 });
    script.wait(2000).end(claim, { type: "built" }, 2000);
    const goal = drv(name);
    script.add({ type: "roundFinished", goal, claim, round: number, rounds: 3, machine: machineId(machine), verdict });
  };
  for (const [index, machine] of machines.entries()) {
    round("steady-2.1", machine, index + 1, index === 0 ? "first" : "same");
    round("stamped-1.0", machine, index + 1, index === 0 ? "first" : index === 1 ? "same" : "differs");
  }
  const output = "/nix/store/ls9ic69x4j8d7y097a8mf4zinhgdfclz-stamped-1.0";
  const goal = drv("stamped-1.0");
  script.add({
    type: "outputDiffered",
    goal,
    output: "out",
    firstPath: output,
    otherPath: `${output}.check-3`,
    round: 3,
    firstMachine: machineId("itchy"),
    otherMachine: machineId("poochie"),
    summary: [
      "share/stamp: 2 of 29 bytes differ, first at byte 17: 34 31 '41' and 35 32 '52'; looks like a time stamp: '12:00:41' and '12:00:52'",
    ],
  });
  const hook = script.hook("stamped-1.0", "diff");
  script.add({ type: "hookStarted", hook, attempt: 1 });
  script.add({
    type: "hookLogged",
    hook,
    lines: [`For derivation ${goal}:`, "1c1", "< 12:00:41", "---", "> 12:00:52"],
  });
  script.add({ type: "hookFinished", hook, result: { type: "succeeded", durationMs: 12 } });
  script.finish("steady-2.1", { type: "alreadyValid", outputs: [] });
  round("busy-0.9", "itchy", 1, "first");
  script.build("busy-0.9", "scratchy", { slot: 1, round: 2, rounds: 3 });
  return script.wait(1500);
}
