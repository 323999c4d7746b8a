// SSH under load and under faults, against a real OpenSSH sshd on loopback: many channels, much data, a peer that dies or freezes.
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ssh2 from "ssh2";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EngineError } from "../../../../src/engine/base/errors.ts";
import { makeSshKeyPair } from "../../../../src/engine/transports/ssh/keys/ssh-key-pair.ts";
import type { CloseReason, Transport } from "../../../../src/engine/transports/transport.ts";
import { pieces } from "../../../contracts/transport.ts";
import { type Sshd, type SshdOptions, startSshd } from "../../../support/sshd.ts";
import { hasPrograms } from "../../../support/tools.ts";
import { readAll, runOn, type SshBench, sshBench } from "./ssh-bench.ts";

const usable = hasPrograms("sshd", "ssh-keygen", "ssh");

let bench: SshBench;
let servers: Sshd[] = [];

beforeEach(() => {
  bench = sshBench();
});

afterEach(async () => {
  bench.dispose();
  for (const server of servers) await server.stop();
  servers = [];
});

async function start(options: SshdOptions = {}): Promise<Sshd> {
  const sshd = await startSshd(options);
  servers.push(sshd);
  return sshd;
}

async function echoOnce(transport: Transport, word: string): Promise<string> {
  await transport.write(Buffer.from(word));
  let said = "";
  for await (const chunk of transport.input) {
    said += Buffer.from(chunk).toString();
    if (said.length >= word.length) break;
  }
  return said;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Milliseconds until a process is gone, or null if it stays for five seconds. */
async function timeToGo(pid: number): Promise<number | null> {
  const begin = performance.now();
  while (performance.now() - begin < 5000) {
    if (!isAlive(pid)) return performance.now() - begin;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return null;
}

function lossOf(reason: CloseReason): string {
  return reason.type === "failed" && reason.error instanceof EngineError
    ? `${reason.error.code}: ${reason.error.message}`
    : reason.type;
}

describe.skipIf(!usable)("many channels (skipped without openssh-server)", () => {
  it("share connections below sshd's MaxSessions", async () => {
    bench.alias("mac", await start({ maxSessions: 10 }));
    const host = bench.host("mac");
    const all = await Promise.all(Array.from({ length: 25 }, () => host.open("cat")));
    expect(host.connectionCount).toBe(3);
    const said = await Promise.all(all.map((transport, i) => echoOnce(transport, `channel ${i}`)));
    expect(said).toEqual(all.map((_, i) => `channel ${i}`));
  });

  it("take more connections where the server allows fewer sessions than usual", async () => {
    bench.alias("mac", await start({ maxSessions: 2 }));
    const host = bench.host("mac");
    const all = await Promise.all(Array.from({ length: 5 }, () => host.open("cat")));
    expect(host.connectionCount).toBeGreaterThanOrEqual(3);
    const said = await Promise.all(all.map((transport, i) => echoOnce(transport, `channel ${i}`)));
    expect(said).toEqual(all.map((_, i) => `channel ${i}`));
  });

  it("use again what was closed", async () => {
    bench.alias("mac", await start());
    const host = bench.host("mac");
    for (let i = 0; i < 12; i++) {
      const transport = await host.open("cat");
      transport.close();
    }
    for (let i = 0; i < 12; i++) expect(await runOn(host, `echo ${i}`)).toBe(`${i}\n`);
    expect(host.connectionCount).toBeLessThanOrEqual(2);
  });

  it("are refused in words where the server allows none", async () => {
    bench.alias("mac", await start({ maxSessions: 0 }));
    await expect(bench.host("mac").open("cat")).rejects.toMatchObject({
      code: "SSH_CHANNEL_REFUSED",
      message: expect.stringMatching(/^cannot connect to 'mac': the server refused another channel/),
      hint: expect.stringContaining("MaxSessions"),
    });
  });

  it("do not log in faster than sshd's MaxStartups bears", async () => {
    bench.alias("mac", await start({ maxStartups: "6:100:6" }));
    const host = bench.host("mac", {}, bench.transports({ sshLimits: { channelsPerConnection: 1 } }));
    const all = await Promise.all(Array.from({ length: 16 }, () => host.open("cat")));
    expect(host.connectionCount).toBe(16);
    for (const transport of all) transport.close();
  });
});

describe.skipIf(!usable)("closing a channel (skipped without openssh-server)", () => {
  it("ends the program that reads it, and nothing else", async () => {
    bench.alias("mac", await start());
    const host = bench.host("mac");
    const other = await host.open("cat");
    const pidFile = join(bench.directory, "pid");
    const transport = await host.open(`echo $$ > ${pidFile}; exec cat > /dev/null`);
    while (!existsSync(pidFile) || readFileSync(pidFile, "utf8") === "")
      await new Promise((resolve) => setTimeout(resolve, 5));
    const pid = Number(readFileSync(pidFile, "utf8"));
    transport.close();
    expect(await timeToGo(pid)).toBeLessThan(1000);
    expect(await echoOnce(other, "still here")).toBe("still here");
    expect(host.connectionCount).toBe(1);
  });

  it("ends a Nix daemon that was started over it", async () => {
    bench.alias("mac", await start());
    const pidFile = join(bench.directory, "pid");
    const transport = await bench.host("mac").open(`echo $$ > ${pidFile}; exec nix-daemon --stdio`);
    while (!existsSync(pidFile) || readFileSync(pidFile, "utf8") === "")
      await new Promise((resolve) => setTimeout(resolve, 5));
    const pid = Number(readFileSync(pidFile, "utf8"));
    transport.close();
    expect(await timeToGo(pid)).toBeLessThan(2000);
  });
});

describe.skipIf(!usable)("a lost connection (skipped without openssh-server)", () => {
  it("fails every channel with the reason, also in the middle of a transfer", async () => {
    const sshd = await start();
    bench.alias("mac", sshd);
    const host = bench.host("mac");
    const down = await host.open("cat /dev/zero");
    const up = await host.open("cat > /dev/null");
    const idle = await host.open("cat");
    let received = 0;
    const reading = (async () => {
      for await (const chunk of down.input) received += chunk.length;
    })();
    const writing = (async () => {
      const chunk = Buffer.alloc(256 * 1024);
      for (;;) await up.write(chunk);
    })();
    reading.catch(() => undefined);
    writing.catch(() => undefined);
    while (received < 20e6) await new Promise((resolve) => setTimeout(resolve, 5));
    await sshd.kill();
    for (const transport of [down, up, idle])
      expect(lossOf(await transport.closed)).toMatch(/^SSH_LINK_LOST: the connection to 'mac' was lost/);
    await expect(reading).rejects.toMatchObject({ code: "SSH_LINK_LOST" });
    await expect(writing).rejects.toMatchObject({ code: "SSH_LINK_LOST" });
    expect(host.connectionCount).toBe(0);
    await expect(host.open("true")).rejects.toMatchObject({ code: "SSH_REFUSED" });
  });

  it("is noticed when the machine is frozen, while channels are idle and while they are busy", async () => {
    const sshd = await start();
    bench.alias("mac", sshd);
    const limits = { keepAliveIntervalMs: 300, keepAliveCount: 2 };
    const idle = await bench.host("mac", {}, bench.transports({ sshLimits: limits })).open("cat");
    const busyHost = bench.host("mac", {}, bench.transports({ sshLimits: limits }));
    const busy = await busyHost.open("cat > /dev/null");
    const writing = (async () => {
      const chunk = Buffer.alloc(256 * 1024);
      for (;;) await busy.write(chunk);
    })();
    writing.catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 700));
    sshd.freeze();
    expect(lossOf(await idle.closed)).toBe(
      "SSH_LINK_LOST: the connection to 'mac' was lost: no sign of life for 0.6 s",
    );
    expect(lossOf(await busy.closed)).toMatch(/no sign of life/);
    sshd.thaw();
  });

  it("is not assumed of a link that is only slow", async () => {
    const sshd = await start();
    // 400 kB/s upstream: the answer to a sign of life waits behind 2 MiB, five seconds, many intervals.
    const throttle =
      "const s=require('net').connect(+process.argv[2],process.argv[1]);s.pipe(process.stdout);" +
      "process.stdin.on('data',d=>{s.write(d);process.stdin.pause();setTimeout(()=>process.stdin.resume(),d.length/400)})" +
      ".on('end',()=>s.end())";
    bench.alias("slow", sshd, { extra: ` ProxyCommand ${process.execPath} -e "${throttle}" %h %p` });
    const host = bench.host(
      "slow",
      {},
      bench.transports({ sshLimits: { keepAliveIntervalMs: 300, keepAliveCount: 2 } }),
    );
    const transport = await host.open("wc -c; read never");
    await transport.write(Buffer.alloc(1_500_000));
    const outcome = await Promise.race([
      transport.closed.then(lossOf),
      new Promise((resolve) => setTimeout(resolve, 3000, "alive")),
    ]);
    expect(outcome).toBe("alive");
    transport.close();
  });
});

describe.skipIf(!usable)("much data (skipped without openssh-server)", () => {
  it("200 MB each way at once arrives whole, in order, with flat memory", async () => {
    bench.alias("mac", await start());
    const transport = await bench.host("mac").open("cat");
    const total = 200 * 1000 * 1000;
    const sent = createHash("sha1");
    const received = createHash("sha1");
    let count = 0;
    let peak = 0;
    const baseline = buffered();
    const writing = (async () => {
      for (const piece of pieces(total, 7)) {
        sent.update(piece);
        await transport.write(piece);
      }
    })();
    for await (const chunk of transport.input) {
      received.update(chunk);
      count += chunk.length;
      peak = Math.max(peak, buffered() - baseline);
      if (count >= total) break;
    }
    await writing;
    expect(count).toBe(total);
    expect(received.digest("hex")).toBe(sent.digest("hex"));
    expect(peak).toBeLessThan(128e6);
    transport.close();
  });

  it("waits over there while nobody reads here", async () => {
    bench.alias("mac", await start());
    const baseline = buffered();
    const transport = await bench.host("mac").open("head -c 100000000 /dev/zero");
    await new Promise((resolve) => setTimeout(resolve, 1000));
    expect(buffered() - baseline).toBeLessThan(24e6);
    expect((await readAll(transport)).length).toBe(100_000_000);
    expect(await transport.closed).toEqual({ type: "closedThere", exitCode: 0, signal: null });
  });

  it("beside the protocol does not block it, and is not kept without bound", async () => {
    bench.alias("mac", await start());
    const transport = await bench
      .host("mac")
      .open("head -c 20000000 /dev/zero | tr '\\0' e >&2; echo done >&2; echo out");
    expect(await readAll(transport)).toBe("out\n");
    expect(transport.stderrTail().endsWith("edone\n")).toBe(true);
    await transport.closed;
    let kept = 0;
    for await (const chunk of transport.stderr) kept += chunk.length;
    expect(kept).toBeLessThanOrEqual(1024 * 1024 + 64 * 1024);
  });

  it("from a server that ignores its window ends the connection instead of filling the memory", async () => {
    const hostKey = makeSshKeyPair();
    const server = new ssh2.Server({ hostKeys: [hostKey.privateKey] }, (client) => {
      client.on("error", () => undefined);
      client.on("authentication", (context) => context.accept());
      client.on("session", (accept) => {
        accept().on("exec", (acceptExec) => {
          const channel = acceptExec();
          const flood = (): void => {
            (channel.outgoing as { window: number }).window = 1e9;
            // Odd sizes step over a window of exactly zero, at which the library would drop data.
            for (let i = 0; i < 20; i++) channel.write(Buffer.alloc(30_011));
            if (!channel.destroyed) timer = setTimeout(flood, 2);
          };
          let timer = setTimeout(flood, 2);
          client.on("close", () => clearTimeout(timer));
        });
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    bench.configure("StrictHostKeyChecking no\nIdentityFile none\n");
    const transport = await bench.host(`any@127.0.0.1:${port}`).open("flood");
    expect(lossOf(await transport.closed)).toMatch(/SSH_LINK_LOST: .*more than its window allows/);
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });
});

/** Bytes held in buffers and on the heap by this process. */
function buffered(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
