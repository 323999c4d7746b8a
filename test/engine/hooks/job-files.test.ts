// The queue's file: a takeover loses nothing when the disk is full, a fifo blocks nothing, what is damaged is named.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { HookId } from "../../../src/engine/events/ids.ts";
import type { StorePath } from "../../../src/engine/formats/store-path.ts";
import { QueueFile } from "../../../src/engine/hooks/job-files.ts";
import { freshRecord, type KeptJob, printJob } from "../../../src/engine/hooks/jobs/job-lines.ts";
import { removeDirectory, temporaryDirectory } from "../../support/temporary-directory.ts";

let directory: string;
beforeEach(() => {
  directory = temporaryDirectory("queue-file");
});
afterEach(() => removeDirectory(directory));

const path = (name: string): StorePath => `/nix/store/${"a".repeat(32)}-${name}` as StorePath;
const kept = (name: string): KeptJob => ({
  job: {
    id: name as HookId,
    kind: "upload",
    drvPath: path(`${name}.drv`),
    paths: [path(name)],
    target: "x",
    store: "auto",
  },
  record: freshRecord(7),
});

/** A file name whose process is gone. */
async function deadName(n: number): Promise<string> {
  const child = spawn("/bin/true");
  await once(child, "exit");
  return join(directory, `queue-${child.pid}-1-${n}.jsonl`);
}

describe("the queue's file", () => {
  it("loses nothing when it is taken over on a full disk", async () => {
    const names = Array.from({ length: 40 }, (_, index) => `job${index}`);
    writeFileSync(await deadName(1), names.map((name) => printJob(kept(name))).join(""));
    const module = fileURLToPath(new URL("../../../src/engine/hooks/job-files.ts", import.meta.url));
    const script = `import { QueueFile } from ${JSON.stringify(module)};
      const notices = [];
      const file = QueueFile.open({ directory: ${JSON.stringify(directory)}, pid: process.pid, notice: (text) => notices.push(text) });
      console.log(JSON.stringify({ left: file.left.length, notices: notices.length }));`;
    // The limit is a few of the jobs: the new file is begun and cannot be finished.
    const child = spawnSync(
      "sh",
      ["-c", `ulimit -f 2; exec "$0" --input-type=module -e "$1"`, process.execPath, script],
      {
        encoding: "utf8",
      },
    );
    expect(JSON.parse(child.stdout), child.stderr).toEqual({ left: 40, notices: 1 });
    expect(QueueFile.waiting(directory).map(({ job }) => job.id)).toEqual(names);
  });

  it("goes on behind what was cut short", async () => {
    const file = await deadName(1);
    writeFileSync(file, `${printJob(kept("a"))}${printJob(kept("b")).slice(0, 40)}\n${printJob(kept("c"))}`);
    expect(QueueFile.waiting(directory).map(({ job }) => job.id)).toEqual(["a", "c"]);
  });

  it("is not opened where something else has its name, and says so", async () => {
    const fifo = await deadName(1);
    expect(spawnSync("mkfifo", [fifo]).status).toBe(0);
    mkdirSync(await deadName(2));
    writeFileSync(await deadName(3), printJob(kept("a")));
    const notices: string[] = [];
    const file = QueueFile.open({ directory, pid: process.pid, notice: (message) => notices.push(message) });
    expect(file.left.map(({ job }) => job.id)).toEqual(["a"]);
    expect(notices.sort()).toEqual([
      expect.stringContaining("is left alone: it is no regular file"),
      expect.stringContaining("is left alone: it is no regular file"),
    ]);
    expect(QueueFile.all(directory).problems).toHaveLength(2);
    file.done("a" as HookId);
    file.close();
    expect(readdirSync(directory)).toHaveLength(2);
  });

  it("names what is damaged once, and keeps what is not", async () => {
    writeFileSync(await deadName(1), `${printJob(kept("a"))}{"type":"tried","id":"a","at":1,"attempts":-1}\n`);
    const notices: string[] = [];
    const file = QueueFile.open({ directory, pid: process.pid, notice: (message) => notices.push(message) });
    expect(notices).toEqual([expect.stringMatching(/damaged lines .*\.jsonl:2: expected 0 to 1000000 in 'attempts'/)]);
    const [own] = readdirSync(directory);
    expect(readFileSync(join(directory, own!), "utf8")).toBe(printJob(kept("a")));
    file.close();
  });
});
