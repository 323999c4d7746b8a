// What a hostile builder can do, for each kind of sandbox and for root and an ordinary user: the table of docs/SECURITY.md.
import { execFileSync, spawn } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
} from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ended, processesWith, signalAll, until } from "../../../../../support/processes.ts";
import { removeDirectory, temporaryDirectory } from "../../../../../support/temporary-directory.ts";
import { shellDerivation } from "../../support.ts";
import type { WorkerAnswer } from "./escape-worker.ts";

const WORKER = fileURLToPath(new URL("./escape-worker.ts", import.meta.url));
const ready = existsSync("/usr/bin/nix-store") && existsSync("/usr/bin/busybox") && process.getuid?.() === 0;
/** An id no account has. */
const ORDINARY = 61_003;
const CASES = [
  ["root", "bwrap"],
  ["root", "unshare"],
  ["root", "chroot"],
  ["an ordinary user", "bwrap"],
  ["an ordinary user", "unshare"],
] as const;

/** Each prints one line `name=answer`. `run` starts an applet of the sandbox's busybox. */
const PROBES = `
run() { local name=$1; shift; (exec -a $name /bin/sh "$@"); }
probe() { local name=$1; shift; if ("$@") >/dev/null 2>&1; then echo $name=done; else echo $name=refused; fi; }
write() { echo "$1" > $2; }
probe swappiness write 61 /proc/sys/vm/swappiness
probe core-pattern write "|/bin/false" /proc/sys/kernel/core_pattern
probe sysrq write h /proc/sysrq-trigger
probe shadow run cat /etc/shadow
probe homes test -e /root -o -e /home -o -e /var -o -e /usr
probe host-process kill -0 $victim
probe host-memory run cat /proc/$victim/environ
probe mount run mount -t tmpfs none /tmp
probe chroot run chroot /tmp /bin/sh
probe namespaces run unshare -r /bin/sh -c :
probe device run mknod /build/disk b 8 0
probe memory run mknod /build/mem c 1 1
probe terminal write x /dev/tty
probe descriptor write x /proc/self/fd/40
probe descriptor-copy eval 'echo x >&40'
probe chown run chown 0:0 /build
probe loopback run nc -w 1 127.0.0.1 $port
run cp /bin/sh /build/suid; probe set-uid run chmod 4755 /build/suid
echo umask=$(umask)
echo uid=$(run id -u)
echo groups=$(run id -G)
echo descriptors=$(cd /proc/self/fd 2>/dev/null && echo *)
echo session=$(run readlink /proc/self/ns/net)
while read -r a b c; do case $a in NoNewPrivs:|CapPrm:|CapEff:|CapInh:|CapAmb:|Seccomp:) echo $a$b;; esac; done < /proc/self/status
while read -r a b c; do echo outer=$b; done < /proc/self/uid_map
echo language=$LANGUAGE
echo odd=$(run grep -c a-b=kept /proc/1/environ)
`;

interface Setting {
  readonly account: "root" | "an ordinary user";
  readonly kind: string;
}

describe.skipIf(!ready)("a hostile builder", () => {
  let root: string;
  let server: Server;
  let port: number;
  const roots = new Map<string, string>();

  beforeAll(async () => {
    root = temporaryDirectory("escapes");
    chmodSync(root, 0o755);
    for (const account of ["root", "an ordinary user"]) {
      const own = join(root, account.replaceAll(" ", "-"));
      mkdirSync(own);
      if (account !== "root") chownSync(own, ORDINARY, ORDINARY);
      roots.set(account, own);
    }
    mkdirSync(join(root, "trace"));
    chmodSync(join(root, "trace"), 0o777);
    server = createServer((socket) => socket.end("reached\n")).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    port = (server.address() as { port: number }).port;
  });
  afterAll(() => {
    server.close();
    removeDirectory(root);
  });

  const as = ({ account }: Setting): object => (account === "root" ? {} : { uid: ORDINARY, gid: ORDINARY });

  function instantiate(setting: Setting, expression: string): string {
    const own = roots.get(setting.account)!;
    const flags = ["--store", own, "-E", expression];
    const environment = { PATH: process.env.PATH, HOME: own, USER: "someone" };
    return execFileSync("nix-instantiate", flags, {
      ...as(setting),
      env: environment,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  }

  /** Starts the worker under an unusual umask, with a descriptor too many. */
  function start(setting: Setting, drv: string, keep = false, maxProcesses = 0): ReturnType<typeof spawn> {
    const own = roots.get(setting.account)!;
    const words = [process.execPath, WORKER, own, setting.kind, drv, keep ? "keep" : ""];
    return spawn("/bin/bash", ["-c", 'umask 002; exec 40> "$HOME/stray"; exec "$@"', "bash", ...words], {
      ...as(setting),
      env: { PATH: process.env.PATH, HOME: own, MAX_PROCESSES: String(maxProcesses) },
      stdio: ["ignore", "pipe", "inherit"],
    });
  }

  async function build(setting: Setting, expression: string, keep = false, maxProcesses = 0): Promise<WorkerAnswer> {
    const child = start(setting, instantiate(setting, expression), keep, maxProcesses);
    let text = "";
    child.stdout?.on("data", (bytes: Buffer) => {
      text += bytes.toString("utf8");
    });
    await new Promise((resolve) => child.once("close", resolve));
    return JSON.parse(text) as WorkerAnswer;
  }

  describe.each(CASES)("of %s in the %s kind", (account, kind) => {
    const setting: Setting = { account, kind };
    const sandboxed = kind !== "chroot";
    let answers: Map<string, string>;
    let answer: WorkerAnswer;

    beforeAll(async () => {
      const swappiness = readFileSync("/proc/sys/vm/swappiness", "utf8");
      const trace = join(root, "trace", `${account}-${kind}`.replaceAll(" ", "-"));
      const variables = `port = "${port}"; victim = "${process.pid}"; "a-b" = "kept"; LANGUAGE = "../../../../tmp/evil"; LC_ALL = "/tmp/evil";
        LD_DEBUG = "all"; LD_DEBUG_OUTPUT = "${trace}"; LD_PRELOAD = "/tmp/evil.so"; GCONV_PATH = "/tmp/evil";`;
      // A survivor in a session of its own, as daemons do.
      const survivor = `run setsid /bin/sh -c ': survivor-${process.pid}; while :; do run sleep 1000; done' & `;
      answer = await build(setting, shellDerivation("probes", `${PROBES}\n${survivor}\necho > $out`, variables));
      answers = new Map(answer.lines.map((line) => line.split(/=(.*)/s, 2) as [string, string]));
      expect(readFileSync("/proc/sys/vm/swappiness", "utf8")).toBe(swappiness);
    });

    it("is built all the same, whatever umask and descriptors the program was started with", () => {
      expect([answer.status, answer.errorMessage]).toEqual(["Built", ""]);
      expect(answers.get("umask")).toBe("0022");
      expect(answers.get("language")).toBe("../../../../tmp/evil");
      if (sandboxed) expect(answers.get("odd")).toBe("1");
    });

    it.each([
      ...["swappiness", "core-pattern", "sysrq", "shadow", "homes", "host-process", "host-memory", "mount", "chroot"],
      ...["device", "memory", "terminal", "descriptor", "descriptor-copy", "chown"],
    ])("is refused: %s", (name) => {
      expect(answers.get(name)).toBe("refused");
    });

    it("has no network, but in the chroot kind", () => {
      expect(answers.get("loopback")).toBe(sandboxed ? "refused" : "done");
      if (sandboxed) {
        expect(answers.get("session")).toMatch(/^net:/);
        expect(answers.get("session")).not.toBe(readlinkSync("/proc/self/ns/net"));
      }
    });

    it("is nobody outside, and has no right inside", () => {
      expect(answers.get("uid")).toMatch(sandboxed ? /^1000$/ : /^(?:8891\d{5}|607\d\d)$/);
      if (!sandboxed) return;
      const caps = [...answers.keys()].filter((line) => /^Cap/.test(line));
      expect(caps.sort()).toEqual(["CapAmb", "CapEff", "CapInh", "CapPrm"].map((name) => `${name}:0000000000000000`));
      expect([...answers.keys()]).toContain("NoNewPrivs:1");
      expect(answers.get("descriptors")).toMatch(/^0 1 2(?: \d+)?$/);
    });

    it("has user namespaces of its own at most, as under Nix", () => {
      expect(answers.get("namespaces")).toBe(kind === "bwrap" ? "done" : "refused");
    });

    it("sets a set-uid bit at most where nobody can reach it", () => {
      // Bubblewrap's filter refuses it; elsewhere the bit goes when the file is kept (below) or becomes an output.
      expect(answers.get("set-uid")).toBe(kind === "bwrap" ? "refused" : "done");
    });

    it("leaves no process behind", async () => {
      await until("survivors to be gone", () => processesWith(`survivor-${process.pid}`).length === 0);
      expect(processesWith(`survivor-${process.pid}`)).toEqual([]);
    });

    it("has no program outside see its variables", () => {
      expect(readdirSync(join(root, "trace"))).toEqual([]);
    });

    it("is kept without set-uid bits, where only the user gets at it", async () => {
      const script = `(exec -a cp /bin/sh /bin/sh suid); (exec -a chmod /bin/sh 4755 suid); (exec -a mkdir /bin/sh -m 2777 shared); (exec -a chmod /bin/sh 777 .); exit 1`;
      const { notices } = await build(setting, shellDerivation(`kept-${kind}`, script), true);
      const kept = /^note: keeping build directory '(.*)'$/.exec(notices.at(-1) ?? "")![1]!;
      const modeOf = (path: string): number => lstatSync(path).mode & 0o7777;
      const { uid } = lstatSync(kept);
      expect([modeOf(join(kept, "..")), modeOf(kept), uid]).toEqual([0o700, 0o700, account === "root" ? 0 : ORDINARY]);
      for (const name of ["suid", "shared"]) {
        expect(modeOf(join(kept, name)) & 0o6000, name).toBe(0);
        expect(lstatSync(join(kept, name)).uid).toBe(uid);
      }
    });

    it("is gone with the program, however that dies", async () => {
      const mark = `orphan-${process.pid}-${account.length}-${kind}`;
      const script = `: ${mark}; echo up > /dev/stderr; while :; do (exec -a sleep /bin/sh 1000); done`;
      const child = start(setting, instantiate(setting, shellDerivation("orphan", script)));
      try {
        await until(
          "the builder to run",
          () => processesWith("sleep\0" + "1000").length > 0 && processesWith(mark).length > 0,
        );
        child.kill("SIGKILL");
        await ended(child);
        await until("the builder to be gone", () => processesWith(mark).length === 0);
      } finally {
        signalAll(processesWith(mark), "SIGKILL");
      }
    });

    it("that forks without end is stopped at as many processes as the settings allow", async () => {
      const script =
        "n=0; while [ $n -lt 60 ]; do (exec -a sleep /bin/sh 5) & n=$((n+1)); echo count=$n; done; echo > $out";
      const bounded = await build(setting, shellDerivation("forks", script), false, 20);
      expect(bounded.status).toBe("PermanentFailure");
      expect(bounded.lines.join("\n")).toMatch(/can't fork: Resource temporarily unavailable/);
      const most = Math.max(...bounded.lines.map((line) => Number(/^count=(\d+)$/.exec(line)?.[1] ?? 0)));
      expect(most).toBeGreaterThan(5);
      expect(most).toBeLessThan(20);
      const free = await build(setting, shellDerivation(`forks-freely-${kind}`, script));
      expect(free.lines).toContain("count=60");
    });

    it("that closes its log is ended, as by Nix", async () => {
      const { status, errorMessage } = await build(
        setting,
        shellDerivation("hiding", "echo here; exec >&- 2>&-; while :; do (exec -a sleep /bin/sh 1000); done"),
      );
      expect(status).toBe("PermanentFailure");
      expect(errorMessage).toMatch(/failed due to signal 9/);
    });

    it("may have more variables than bubblewrap takes, and stays in its kind", async () => {
      const many = `, many ? builtins.listToAttrs (builtins.genList (i: { name = "v\${toString i}"; value = "x"; }) 4000)`;
      const attributes = `{ name = "many-${kind}"; system = "x86_64-linux"; builder = "/bin/sh";
        args = [ "-c" "while read -r a b; do case $a in Seccomp:) echo filter=$b;; esac; done < /proc/self/status; echo last=$v3999; echo > $out" ]; }`;
      const { lines, errorMessage } = await build(
        setting,
        `({ x ? 1${many} }: derivation (many // ${attributes})) { }`,
      );
      expect(errorMessage).toBe("");
      expect(lines).toContain("last=x");
      if (kind === "bwrap") expect(lines).toContain("filter=2");
    });
  });
});
