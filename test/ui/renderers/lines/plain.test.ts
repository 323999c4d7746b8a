import { EventEmitter } from "node:events";
import { describe, expect, it } from "vitest";
import { parseEventLine } from "../../../../src/engine/events/json-lines.ts";
import {
  createRenderer,
  DEFAULT_OPTIONS,
  type EngineRequestWithoutId,
  type Environment,
  type Renderer,
  type RenderOptions,
} from "../../../../src/ui/index.ts";
import {
  drv,
  type EventScript,
  eventScript,
  machineId,
  SCRIPT_START,
  storePath,
} from "../../../support/event-script.ts";
import { createFakeClock, type FakeClock } from "../../../support/fake-clock.ts";

class Output extends EventEmitter {
  text = "";
  write(text: string): boolean {
    this.text += text;
    return true;
  }
}

interface Rig {
  readonly renderer: Renderer;
  readonly out: Output;
  readonly err: Output;
  readonly clock: FakeClock;
  readonly requests: EngineRequestWithoutId[];
  closed: number;
  feed(script: EventScript): void;
}

async function rigOf(
  kind: "plain" | "quiet" | "json",
  env: Environment = {},
  options: Partial<RenderOptions> = {},
): Promise<Rig> {
  const out = new Output();
  const err = new Output();
  const clock = createFakeClock(SCRIPT_START);
  const requests: EngineRequestWithoutId[] = [];
  const rig = { out, err, clock, requests, closed: 0 };
  const renderer = await createRenderer(
    { kind },
    {
      stdout: out,
      stderr: err,
      stdin: process.stdin,
      env,
      clock,
      options: { ...DEFAULT_OPTIONS, ...options },
      send: (request) => requests.push(request),
      outputClosed: () => {
        whole.closed++;
      },
      replay: null,
    },
  );
  renderer.start();
  const whole: Rig = {
    ...rig,
    renderer,
    feed: (script) => {
      renderer.accept(script.take());
      clock.advance(Math.max(0, script.now - clock.wallTime()));
    },
  };
  return whole;
}

/** One build that works, one that does not, one that is never tried. */
function smallRun(): EventScript {
  const script = eventScript()
    .start()
    .stage("evaluating")
    .machine("itchy", { slots: 8 })
    .machine("local")
    .up("itchy", "local");
  script.goals({ foo: { inputs: ["bar"], isTarget: true }, bar: {}, baz: {}, old: {} });
  script.finish("old", { type: "alreadyValid", outputs: [] }).stage("building");
  const bar = script.build("bar", "itchy", { slot: 1, rounds: 3, explanation: "it has the inputs" });
  script.log(bar, "hello", "\x1b[31mred\x1b[0m \x1b]0;evil\x07", "::error::not a command").wait(5000);
  const baz = script.build("baz", "local");
  script.log(baz, "baz works", "##[error]neither");
  script.failed(bar, "bar", "itchy", {
    message: `builder for '${drv("bar")}' failed with exit code 3`,
    logTail: ["cc bar.c", "make: *** [all] Error 2"],
    logFile: null,
  });
  script.built(baz, "baz", "local", 1200);
  script.finish("foo", { type: "notBuilt", because: drv("bar"), reason: "its input bar failed" });
  return script.finishRun({
    exitStatus: 100,
    built: 1,
    failed: 1,
    notBuilt: 1,
    alreadyValid: 1,
    outputs: [storePath("baz")],
  });
}

describe("plain lines", () => {
  it("are Nix's, with the digest and the verdict at the end and the out paths alone on stdout", async () => {
    const { renderer, out, err, feed } = await rigOf("plain");
    feed(smallRun());
    await renderer.finish();
    expect(err.text).toBe(`these 3 derivations will be built:
  ${drv("foo")}
  ${drv("bar")}
  ${drv("baz")}
building '${drv("bar")}' (round 1/3) on 'ssh-ng://itchy'...
building '${drv("baz")}'...
error: builder for '${drv("bar")}' failed with exit code 3;
       last 2 log lines:
       > cc bar.c
       > make: *** [all] Error 2
       For full logs, run 'nix log ${drv("bar")}'.
built '${drv("baz")}' in 1s

1 build failed:
  - ${drv("bar")} on itchy
      builder for '${drv("bar")}' failed with exit code 3
      > make: *** [all] Error 2
built: 1 here
longest: baz 1s here
bar kept 1 build from being built: foo
[1/3 built (1 failed), 0.0 MiB DL] failed (exit status 100) after 5s: 1 built, 1 already valid, 1 failed, 1 not built
`);
    expect(out.text).toBe(`${storePath("baz")}\n`);
  });

  it("name the command that finds the log", async () => {
    const { renderer, err, feed } = await rigOf("plain", {}, { logCommand: "tsbuild-top log" });
    feed(smallRun());
    await renderer.finish();
    expect(err.text).toContain(`For full logs, run 'tsbuild-top log ${drv("bar")}'.`);
    expect(err.text).not.toContain("nix log");
  });

  it("stream logs with -L, a name before each line, without what could move a cursor", async () => {
    const { err, feed } = await rigOf("plain", {}, { printBuildLogs: true, explain: true });
    feed(smallRun());
    expect(err.text).toContain("bar> hello\nbar> red \nbar> ::error::not a command\n");
    expect(err.text).toContain("  because: it has the inputs\n");
  });

  it("are coloured where that is wanted, and only with colour", async () => {
    const { err, feed } = await rigOf("plain", { FORCE_COLOR: "1" }, { printBuildLogs: true });
    feed(smallRun());
    expect(err.text).toContain("bar> \x1b[31mred\x1b[0m \n");
    expect(err.text).toContain("\x1b[31;1merror:\x1b[0m builder for");
    expect(err.text).not.toContain("evil");
  });

  it("fold a finished build on GitHub, never a failed one, and break commands in logs", async () => {
    const { err, feed } = await rigOf("plain", { GITHUB_ACTIONS: "true" });
    feed(smallRun());
    expect(err.text).toContain(`::group::built '${drv("baz")}' in 1s\nbaz works\n# #[error]neither\n::endgroup::\n`);
    expect(err.text).toContain("bar> hello\nbar> red \nbar> ::error::not a command\n");
    expect(err.text).not.toMatch(/^::error/m);
  });

  it("fold on GitLab with its sections", async () => {
    const { err, feed } = await rigOf("plain", { GITLAB_CI: "true" });
    feed(smallRun());
    expect(err.text).toContain("\x1b[0Ksection_start:1772366405:build_1[collapsed=true]\r\x1b[0Kbuilt");
    expect(err.text).toContain("\x1b[0Ksection_end:1772366405:build_1\r\x1b[0K");
  });

  it("say every thirty seconds what runs where and for how long", async () => {
    const { err, feed, clock } = await rigOf("plain");
    const script = eventScript().start().stage("building").machine("itchy").goals({ slow: {}, sent: {} });
    script.build("slow", "itchy");
    const sent = script.build("sent", "itchy", { slot: 1 }, "sendingInputs");
    script.upload("itchy", sent, 4 * 2 ** 20, 2 ** 20);
    feed(script);
    clock.advance(65_000);
    const beats = err.text.split("\n").filter((line) => line.startsWith("["));
    expect(beats).toEqual([
      "[2/0/2 built, 0.0 MiB DL] after 30s: slow on itchy for 30s, sent on itchy for 30s (sending inputs, 1.0 MiB of 4.0 MiB)",
      "[2/0/2 built, 0.0 MiB DL] after 1m00s: slow on itchy for 1m00s, sent on itchy for 1m00s (sending inputs, 1.0 MiB of 4.0 MiB)",
    ]);
  });

  it("say why nothing runs", async () => {
    const { err, feed, clock } = await rigOf("plain");
    const script = eventScript()
      .start()
      .stage("building")
      .machine("itchy")
      .goals({ a: { features: ["kvm"] } });
    feed(script.waiting("a", { type: "slots", machines: [machineId("itchy")] }));
    clock.advance(30_000);
    expect(err.text).toContain("nothing runs; waiting: 1 for a slot with kvm\n");
  });

  it("show a build live that was silent for five minutes", async () => {
    const { err, feed, clock } = await rigOf("plain");
    const script = eventScript().start().stage("building").machine("itchy").goals({ hung: {} });
    const claim = script.build("hung", "itchy");
    feed(script.log(claim, "last words"));
    expect(err.text).not.toContain("last words");
    clock.advance(330_000);
    script.now = clock.wallTime();
    expect(err.text).toContain("'hung' has printed nothing for 5m00s");
    expect(err.text).toContain("hung> last words\n");
    feed(script.log(claim, "alive again"));
    expect(err.text).toContain("hung> alive again\n");
  });

  it("name the machine that is cooling down, hooks that fail, outputs that differ", async () => {
    const { err, feed } = await rigOf("plain");
    const script = eventScript().start().machine("itchy").goals({ a: {} });
    script.state("itchy", {
      type: "coolingDown",
      reason: "connection refused",
      until: script.now + 14_000,
      failures: 1,
    });
    const hook = script.hook("a");
    script.add({ type: "hookStarted", hook, attempt: 1 }).add({ type: "hookLogged", hook, lines: ["uploading"] });
    script.add({ type: "hookFinished", hook, result: { type: "failed", reason: "exit code 1" } });
    script.add({
      type: "outputDiffered",
      goal: drv("a"),
      output: "out",
      firstPath: storePath("a"),
      otherPath: `${storePath("a")}.check`,
      round: 2,
      firstMachine: machineId("itchy"),
      otherMachine: machineId("local"),
      summary: ["bin/a: bytes differ at 17"],
    });
    feed(script);
    expect(err.text).toContain("warning: 'ssh-ng://itchy' is cooling down, next try in 14s: connection refused\n");
    expect(err.text).toContain("a (post)> uploading\n");
    expect(err.text).toContain(`error: post-build hook for '${drv("a")}' failed: exit code 1\n`);
    expect(err.text).toContain(
      `a (diff)> output '${storePath("a")}' of the first round on 'ssh-ng://itchy' and of round 2 on 'local', kept as '${storePath("a")}.check':\na (diff)>   bin/a: bytes differ at 17\n`,
    );
  });

  it("cannot be made to do anything by names and hosts", async () => {
    const { err, feed } = await rigOf("plain", { GITHUB_ACTIONS: "true" });
    const evil = "\x1b[2J::set-output::x\n::error::y\x1b]52;c;aGk=\x07";
    const script = eventScript().start().machine("local").machine("m", { uri: evil }).goals({ a: {} });
    script.build("a", "m");
    script.add({
      type: "noticeRaised",
      cause: null,
      level: "warning",
      code: "X",
      message: evil,
      hint: evil,
      machine: null,
      goal: null,
    });
    feed(script);
    expect(err.text).not.toMatch(/^::/m);
    expect(err.text).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/);
  });
});

describe("Ctrl-C", () => {
  it("first asks for a drain, then for cancelling", async () => {
    const { renderer, err, requests, feed } = await rigOf("plain");
    feed(smallRun());
    renderer.interrupt();
    renderer.interrupt();
    expect(requests).toEqual([
      { type: "stop", how: "drain" },
      { type: "stop", how: "cancel" },
    ]);
    expect(err.text).toContain("interrupted: nothing new will be started\n");
  });
});

describe("a reader that goes away", () => {
  it("is noticed once and never written to again", async () => {
    const rig = await rigOf("plain");
    rig.err.emit("error", Object.assign(new Error("EPIPE"), { code: "EPIPE" }));
    rig.err.emit("error", new Error("EPIPE"));
    rig.feed(smallRun());
    expect(rig.closed).toBe(1);
    expect(rig.err.text).toBe("");
  });
});

describe("quiet", () => {
  it("says what failed and how it ended", async () => {
    const { renderer, out, err, feed } = await rigOf("quiet");
    feed(smallRun());
    await renderer.finish();
    expect(err.text.split("\n")[0]).toBe(`error: builder for '${drv("bar")}' failed with exit code 3;`);
    expect(err.text).toContain("failed (exit status 100)");
    expect(err.text).not.toContain("building");
    expect(out.text).toBe(`${storePath("baz")}\n`);
  });

  it("says nothing when all is well", async () => {
    const { renderer, err, feed } = await rigOf("quiet");
    feed(eventScript().start().finishRun({ built: 1 }));
    await renderer.finish();
    expect(err.text).toBe("");
  });
});

describe("json", () => {
  it("is one event a line and nothing else on stdout", async () => {
    const { renderer, out, err, feed } = await rigOf("json");
    const script = smallRun();
    feed(script);
    await renderer.finish();
    const lines = out.text.trimEnd().split("\n");
    expect(lines.map((line, index) => parseEventLine(line, `line ${index}`))).toEqual(script.events);
    expect(err.text).toBe("");
  });
});

describe("the end of a run", () => {
  function mixed(): EventScript {
    const script = eventScript().start({ keepGoing: true }).stage("building");
    script.machine("local", { slots: 2 }).machine("itchy", { slots: 4 }).up("local", "itchy");
    script.goals({ gcc: {}, lib: {}, tool: {}, bad: {}, app: { inputs: ["bad"] }, image: { inputs: ["app", "gcc"] } });
    const gcc = script.build("gcc", "itchy", { slot: 0, expectedMs: 470_000 });
    const lib = script.build("lib", "itchy", { slot: 1 });
    const tool = script.build("tool", "local");
    script.wait(400).built(tool, "tool", "local", 400);
    script.wait(29_600).built(lib, "lib", "itchy", 30_000);
    return script.wait(452_000).built(gcc, "gcc", "itchy", 482_000);
  }

  it("says where builds ran, which took longest and what they usually take", async () => {
    const rig = await rigOf("plain");
    rig.feed(mixed().finishRun({ built: 3 }));
    await rig.renderer.finish();
    expect(rig.err.text.trimEnd().split("\n").slice(-3)).toEqual([
      "built: 2 on itchy, 1 here",
      "longest: gcc 8m02s on itchy (usually 7m50s), lib 30s on itchy",
      expect.stringMatching(/^\[.*\] done after 8m02s: 3 built$/),
    ]);
  });

  it("says what a failure blocked, and what was not begun after it", async () => {
    const rig = await rigOf("plain");
    const script = mixed();
    const claim = script.build("bad", "local");
    script.failed(claim, "bad", "local");
    const because = drv("bad");
    script.goals({ other: {} });
    script.finish("app", { type: "notBuilt", because, reason: "its input 'bad' failed" });
    script.finish("image", { type: "notBuilt", because, reason: "its input 'app' was not built" });
    script.finish("other", { type: "notBuilt", because, reason: "'bad' failed, and --keep-going is not set" });
    rig.feed(script.finishRun({ exitStatus: 100, built: 3, failed: 1, notBuilt: 3 }));
    await rig.renderer.finish();
    expect(rig.err.text).toContain("\nbad kept 2 builds from being built: app, image\n");
    expect(rig.err.text).toContain("\n1 build not begun after the failure; --keep-going builds them, too\n");
  });

  it("says nothing of it with --quiet", async () => {
    const rig = await rigOf("quiet");
    rig.feed(mixed().finishRun({ built: 3 }));
    await rig.renderer.finish();
    expect(rig.err.text).toBe("");
  });
});
