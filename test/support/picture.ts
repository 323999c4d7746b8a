// A picture of the real board from a recording: `node test/support/picture.ts RECORDING OUT.svg [OUT.png] [--at MS] [--keys KEYS] [--columns N] [--rows N] [--title TEXT]`.
// Keys are names separated by commas (`down,down,return`). RECORDING may be `scene:busy` and the like, from scenes.ts.
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { Resvg } from "@resvg/resvg-js";
import { parseRecording, type Recording } from "../../src/engine/events/recording.ts";
import { createBoardRig } from "./board-rig.ts";
import { loadBuiltUi } from "./built-ui.ts";
import type { EventScript } from "./event-script.ts";
import { screenSvg } from "./picture-svg.ts";
import * as scenes from "./scenes.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    at: { type: "string" },
    keys: { type: "string", default: "" },
    columns: { type: "string", default: "120" },
    rows: { type: "string", default: "32" },
    title: { type: "string", default: "tsbuild-top" },
  },
});
const [source, svgPath, pngPath] = positionals;
if (source === undefined || svgPath === undefined) {
  process.stderr.write(
    "usage: node test/support/picture.ts RECORDING OUT.svg [OUT.png] [--at MS] [--keys a,b] [--columns N] [--rows N]\n",
  );
  process.exit(2);
}

const SCENES: Readonly<Record<string, () => EventScript>> = {
  busy: scenes.busyScene,
  start: scenes.startScene,
  done: scenes.doneScene,
  failed: scenes.failedScene,
  wide: () => scenes.wideScene(),
};

const recording = load(source);
const until = recording.startedAt + (values.at === undefined ? recording.length : Number(values.at));
const { createRenderer } = await loadBuiltUi();
const rig = await createBoardRig({ columns: Number(values.columns), rows: Number(values.rows), createRenderer });
// Handed over at their own times: rates and averages are those of the run.
for (const event of recording.events) {
  if (event.at > until) break;
  rig.clock.setWallTime(event.at);
  rig.renderer.accept([event]);
}
rig.clock.advance(1000);
rig.clock.setWallTime(until);
await rig.press(...values.keys.split(",").filter((key) => key !== ""));
rig.output.emit("resize");
await rig.frame();
const svg = screenSvg(rig.screen.cells(), values.title);
await rig.close();
writeFileSync(svgPath, svg);
if (pngPath !== undefined) {
  const fonts = { loadSystemFonts: true, defaultFontFamily: "DejaVu Sans Mono" };
  writeFileSync(pngPath, new Resvg(svg, { font: fonts, fitTo: { mode: "zoom", value: 1.5 } }).render().asPng());
}

function load(path: string): Recording {
  const scene = path.startsWith("scene:") ? SCENES[path.slice("scene:".length)] : undefined;
  if (scene === undefined) return parseRecording(readFileSync(path, "utf8").split("\n"), path);
  const script = scene();
  const first = script.events[0]?.at ?? 0;
  const header = { recording: 1, eventsVersion: 1, program: "scene", recordedAt: first } as const;
  return { header, events: script.events, startedAt: first, length: script.now - first, isCut: false };
}
