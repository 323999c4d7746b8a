// How long the program takes to start: `--version` from the shell to the end, beside a Node that does nothing.
import { fileURLToPath } from "node:url";
import { outputOf } from "../support/processes.ts";
import { type Measurement, median } from "./support/measurement.ts";

const rounds = 15;
const barMs = 150;

/** Wall time in turns, so that a busy stretch of the machine meets both. */
export async function measure(): Promise<readonly Measurement[]> {
  const program = fileURLToPath(new URL("../../bin/tsbuild-top.js", import.meta.url));
  const timed = async (args: readonly string[]) => {
    const start = performance.now();
    await outputOf(process.execPath, args);
    return performance.now() - start;
  };
  // The first run fills the compile cache.
  await timed([program, "--version"]);
  const ours: number[] = [];
  const peers: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    ours.push(await timed([program, "--version"]));
    peers.push(await timed(["-e", "0"]));
  }
  const [own, peer] = [median(ours), median(peers)];
  return [
    {
      what: "--version",
      ours: `${own.toFixed(0)} ms`,
      peer: `node -e 0 ${peer.toFixed(0)} ms`,
      ratio: `${(own / peer).toFixed(1)} x as long`,
      bar: `<= ${barMs} ms`,
      met: own <= barMs,
    },
  ];
}
