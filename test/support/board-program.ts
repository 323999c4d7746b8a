// A program that shows a synthetic run on the terminal it is started in; runs compiled (`built-ui.ts`), as `node board-program.js KIND [--lines N] [--seconds N] [--report FILE] [--scene NAME]`.
// Used by the benchmark of the board and by tests on real terminals; requests and figures go to the report file, one JSON line each.
import { appendFileSync } from "node:fs";
import { enableCompileCache } from "node:module";
import { parseArgs } from "node:util";

enableCompileCache();

const { systemClock } = await import("../../src/engine/base/clock.ts");
const { createRenderer, DEFAULT_OPTIONS } = await import("../../src/ui/index.ts");
const { eventScript } = await import("./event-script.ts");
const scenes = await import("./scenes.ts");

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    lines: { type: "string", default: "10000" },
    seconds: { type: "string", default: "10" },
    report: { type: "string" },
    scene: { type: "string" },
  },
});

const BUILDERS = 10;
const SLOTS = 3;
/** The model is fed ten times a second. */
const FEED_MS = 100;
const WARM_UP_MS = 3000;

const kind = positionals[0] === "quiet" ? ({ kind: "quiet" } as const) : ({ kind: "board", drawOn: "stdout" } as const);
const report = (line: unknown): void => {
  if (values.report !== undefined) appendFileSync(values.report, `${JSON.stringify(line)}\n`);
};

const script =
  values.scene === "busy" ? scenes.busyScene() : values.scene === "failed" ? scenes.failedScene() : eventScript();
const renderer = await createRenderer(kind, {
  stdout: process.stdout,
  stderr: process.stderr,
  stdin: process.stdin,
  env: process.env,
  clock: systemClock,
  options: DEFAULT_OPTIONS,
  send: (request) => {
    report({ request });
    if (request.type === "stop" && request.how === "cancel") void end();
  },
  outputClosed: () => undefined,
  replay: null,
});
process.on("SIGINT", () => renderer.interrupt());
process.on("SIGTERM", () => {
  renderer.restore();
  process.exit(143);
});
renderer.start();
report({ started: true });

/** Events carry the time they are shown at. */
function hand(): void {
  renderer.accept(script.drain().map((event) => ({ ...event, at: event.at - script.now + Date.now() })));
}

let stopFeeding: () => void = () => undefined;
async function end(): Promise<void> {
  stopFeeding();
  script.finishRun({ exitStatus: 1, interrupted: true });
  hand();
  await renderer.finish();
  process.exit(130);
}

if (values.scene !== undefined) {
  hand();
  if (values.scene === "failed") {
    await renderer.finish();
    process.exit(100);
  }
  setInterval(() => undefined, 1000);
} else feed();

/** Thirty lanes that are always full, log lines over all of them, builds that end and begin, samples, transfers. */
function feed(): void {
  script.start().stage("building");
  for (let index = 0; index < BUILDERS; index++)
    script.machine(`builder-${index + 1}`, { slots: SLOTS, cores: 8, buildCores: 2 }).up(`builder-${index + 1}`);
  let made = 0;
  const lanes = Array.from({ length: BUILDERS * SLOTS }, (_, lane) => begin(lane));
  const perFeed = Math.round(Number(values.lines) / (1000 / FEED_MS));
  let feeds = 0;
  const timer = setInterval(() => {
    feeds++;
    const lines = Math.ceil(perFeed / lanes.length);
    for (const lane of lanes)
      script.log(
        lane.claim,
        ...Array.from(
          { length: lines },
          (_, line) => `[${feeds}:${line}] gcc -O2 -g -Wall -fPIC -c -o src/part-${line}.o src/part-${line}.c`,
        ),
      );
    // Every lane has another phase now and then, and three builds a second end.
    for (const lane of lanes)
      if ((feeds + lane.lane) % 20 === 0)
        script.phase(
          lane.claim,
          ["configurePhase", "buildPhase", "checkPhase", "installPhase"][(feeds / 5 + lane.lane) & 3] ?? "buildPhase",
        );
    if (feeds % 3 === 0) {
      const lane = lanes[(feeds / 3) % lanes.length];
      if (lane !== undefined) {
        script.built(lane.claim, lane.name, lane.machine, 10_000);
        lanes[lane.lane] = begin(lane.lane);
      }
    }
    if (feeds % 10 === 0)
      for (let index = 0; index < BUILDERS; index++)
        script.usage(
          `builder-${index + 1}`,
          Array.from({ length: 8 }, (_, core) => ((feeds + core * 13 + index) % 17) / 16),
        );
    hand();
  }, FEED_MS);
  stopFeeding = () => clearInterval(timer);

  function begin(lane: number): {
    lane: number;
    name: string;
    machine: string;
    claim: ReturnType<typeof script.build>;
  } {
    const name = `package-${++made}-1.0`;
    const machine = `builder-${(lane % BUILDERS) + 1}`;
    script.goals({ [name]: { expectedMs: 20_000 } });
    return {
      lane,
      name,
      machine,
      claim: script.build(name, machine, { slot: Math.floor(lane / BUILDERS), expectedMs: 20_000 }),
    };
  }

  setTimeout(() => {
    const before = process.cpuUsage();
    const from = performance.now();
    setTimeout(() => {
      const used = process.cpuUsage(before);
      const percent = ((used.user + used.system) / 1000 / (performance.now() - from)) * 100;
      report({ percent, rssMiB: process.memoryUsage.rss() / 2 ** 20 });
      void end();
    }, Number(values.seconds) * 1000);
  }, WARM_UP_MS);
}
