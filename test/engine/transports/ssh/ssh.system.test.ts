// SSH against a real OpenSSH sshd on loopback: logging in, host keys, routes.
import { execFileSync, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { isPermanentFailure } from "../../../../src/engine/transports/ssh/ssh-errors.ts";
import { type PeerKind, transportContract } from "../../../contracts/transport.ts";
import { ended } from "../../../support/processes.ts";
import { type Sshd, startSshd } from "../../../support/sshd.ts";
import { hasPrograms } from "../../../support/tools.ts";
import { failure, readAll, runOn, type SshBench, sshBench } from "./ssh-bench.ts";

const usable = hasPrograms("sshd", "ssh-keygen", "ssh");

let sshd: Sshd;
let second: Sshd;
let bench: SshBench;

beforeAll(async () => {
  sshd = await startSshd({ maxStartups: "100" });
  second = await startSshd({ maxStartups: "100" });
});

afterAll(async () => {
  await sshd?.stop();
  await second?.stop();
});

beforeEach(() => {
  bench = sshBench();
});

afterEach(() => bench.dispose());

const COMMANDS: Record<PeerKind, string> = {
  echo: "cat",
  silent: "sleep 2",
  leaves: "read line; echo bye >&2; exit 7",
};

describe.skipIf(!usable)("a channel (skipped without openssh-server)", () => {
  transportContract(
    "an SSH channel",
    (kind) => {
      bench.alias("contract", sshd);
      return bench.host("contract").open(COMMANDS[kind]);
    },
    { hasStderr: true, hasExitCode: true },
  );
});

describe.skipIf(!usable)("an SSH configuration (skipped without openssh-server)", () => {
  it("is followed through Include and Match", async () => {
    const included = join(bench.directory, "included");
    writeFileSync(included, `Host inner-*\n HostName ${sshd.host}\n Port ${sshd.port}\n`);
    bench.configure(`Include ${included}`);
    bench.configure(`Match originalhost inner-* exec "test 1 = 1"\n User root\n IdentityFile ${sshd.userKey}\n`);
    writeFileSync(bench.knownHosts, sshd.knownHostsLine());
    expect(await runOn(bench.host("inner-x"), "echo $USER")).toBe("root\n");
  });

  it("is read without OpenSSH's client too, but for what only that can do", async () => {
    const included = join(bench.directory, "included");
    writeFileSync(included, `Host inner-*\n HostName ${sshd.host}\n Port ${sshd.port}\n`);
    bench.configure(`Include ${included}`);
    bench.configure(`Host inner-*\n User root\n IdentityFile ${sshd.userKey}`);
    bench.configure(`Match exec "false"\n User nobody`);
    writeFileSync(bench.knownHosts, sshd.knownHostsLine());
    const host = bench.host("inner-x", {}, bench.transports({ sshProgram: null }));
    expect(await runOn(host, "echo $USER")).toBe("root\n");
    expect(bench.notices.map((notice) => notice.code)).toContain("SSH_SETTING_IGNORED");
  });

  it("that ssh itself refuses is refused with ssh's words", async () => {
    bench.configure("Host x\n Nonsense yes");
    const error = await failure(bench.host("x").open("true"));
    expect(error.code).toBe("SSH_CONFIG_BAD");
    expect(error.message).toMatch(/^cannot connect to 'x': ssh configuration: .*nonsense/i);
    expect(isPermanentFailure(error)).toBe(true);
  });

  it("is overruled by the options of NIX_SSHOPTS", async () => {
    writeFileSync(bench.knownHosts, sshd.knownHostsLine());
    bench.configure("Host elsewhere\n Port 1\n");
    const settings = {
      configFile: bench.configFile,
      options: [
        { keyword: "Port", value: String(sshd.port) },
        { keyword: "HostName", value: sshd.host },
        { keyword: "IdentityFile", value: sshd.userKey },
      ],
    };
    expect(await runOn(bench.host("root@elsewhere", { settings }), "echo yes")).toBe("yes\n");
  });
});

describe.skipIf(!usable)("a login (skipped without openssh-server)", () => {
  const known = (): void => writeFileSync(bench.knownHosts, sshd.knownHostsLine());

  it("uses the ssh-key of the store's URI, also with a blank in its name", async () => {
    known();
    const key = join(bench.directory, "my key");
    writeFileSync(key, readFileSync(sshd.userKey), { mode: 0o600 });
    expect(await runOn(bench.host(`root@${sshd.host}:${sshd.port}`, { sshKey: key }), "echo in")).toBe("in\n");
    expect(bench.notices).toEqual([]);
  });

  it("warns of a key others can read", async () => {
    known();
    const key = join(bench.directory, "key");
    writeFileSync(key, readFileSync(sshd.userKey));
    chmodSync(key, 0o644);
    await runOn(bench.host(`root@${sshd.host}:${sshd.port}`, { sshKey: key }), "true");
    expect(bench.notices.map((notice) => notice.code)).toEqual(["SSH_KEY_PERMISSIONS"]);
  });

  it("with a key that opens nothing says who rejected which", async () => {
    known();
    const error = await failure(
      bench.host(`root@${sshd.host}:${sshd.port}`, { sshKey: sshd.strangerKey }).open("true"),
    );
    expect(error.code).toBe("SSH_KEY_REJECTED");
    expect(error.message).toBe(
      `cannot connect to 'root@127.0.0.1:${sshd.port}': 127.0.0.1:${sshd.port} rejected ${sshd.strangerKey} for user 'root'`,
    );
    expect(isPermanentFailure(error)).toBe(true);
  });

  it("with a missing key says so", async () => {
    known();
    const error = await failure(bench.host(`root@${sshd.host}:${sshd.port}`, { sshKey: "/no/such/key" }).open("true"));
    expect(error.code).toBe("SSH_KEY_MISSING");
    expect(error.message).toContain("key file /no/such/key: no such file");
  });

  it("with a key under a passphrase says so, and uses the agent that holds it", async () => {
    known();
    const key = join(bench.directory, "locked");
    writeFileSync(key, readFileSync(sshd.userKey), { mode: 0o600 });
    execFileSync("ssh-keygen", ["-q", "-p", "-P", "", "-N", "secret", "-f", key]);
    const where = `root@${sshd.host}:${sshd.port}`;
    const error = await failure(bench.host(where, { sshKey: key }).open("true"));
    expect(error.code).toBe("SSH_KEY_PASSPHRASE");
    expect(error.hint).toContain(`ssh-add ${key}`);

    const socket = join(bench.directory, "agent");
    const agent = spawn("ssh-agent", ["-D", "-a", socket], { stdio: "ignore" });
    try {
      await until(() => {
        execFileSync("ssh-add", ["-q", sshd.userKey], {
          env: { ...process.env, SSH_AUTH_SOCK: socket },
          stdio: "ignore",
        });
        return true;
      });
      const environment = { ...process.env, SSH_AUTH_SOCK: socket };
      const withAgent = bench.host(where, { sshKey: key }, bench.transports({ environment }));
      expect(await runOn(withAgent, "echo by agent")).toBe("by agent\n");
      // The same without naming a key, and through IdentityAgent of the configuration.
      expect(await runOn(bench.host(where, {}, bench.transports({ environment })), "echo any")).toBe("any\n");
      bench.configure(`Host *\n IdentityAgent ${socket}\n IdentitiesOnly yes\n IdentityFile ${key}`);
      expect(await runOn(bench.host(where), "echo configured")).toBe("configured\n");
    } finally {
      // It removes its socket itself, which must not happen while the folder is being removed.
      agent.kill();
      await ended(agent);
    }
  });

  it("without any key says what to do", async () => {
    known();
    bench.configure("Host *\n IdentityFile /nonexistent/default");
    const error = await failure(bench.host(`root@${sshd.host}:${sshd.port}`).open("true"));
    expect(error.code).toBe("SSH_KEY_MISSING");
    bench.configure("");
    writeFileSync(bench.configFile, `UserKnownHostsFile ${bench.knownHosts}\nIdentityFile none\n`);
    const none = await failure(bench.host(`root@${sshd.host}:${sshd.port}`).open("true"));
    expect(none.code).toBe("SSH_NO_IDENTITY");
    expect(none.hint).toContain("ssh-keygen");
  });

  it("to a closed port, an unknown name, a mute server and one that is no sshd says which", async () => {
    const free = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => free.once("listening", resolve));
    const port = (free.address() as { port: number }).port;
    await new Promise((resolve) => free.close(resolve));
    const refused = await failure(bench.host(`root@127.0.0.1:${port}`).open("true"));
    expect(refused).toMatchObject({
      code: "SSH_REFUSED",
      message: `cannot connect to 'root@127.0.0.1:${port}': connection refused by 127.0.0.1:${port}`,
    });
    expect(isPermanentFailure(refused)).toBe(false);

    const unknown = await failure(bench.host("no-such-host.invalid").open("true"));
    expect(unknown.code).toBe("SSH_HOST_NOT_FOUND");

    const mute = createServer(() => undefined).listen(0, "127.0.0.1");
    await new Promise((resolve) => mute.once("listening", resolve));
    const mutePort = (mute.address() as { port: number }).port;
    bench.configure("Host 127.0.0.1\n ConnectTimeout 1");
    const timeout = await failure(bench.host(`root@127.0.0.1:${mutePort}`).open("true"));
    expect(timeout).toMatchObject({ code: "SSH_TIMEOUT", message: expect.stringContaining("within 1 s") });
    mute.close();

    const web = createServer((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")).listen(0, "127.0.0.1");
    await new Promise((resolve) => web.once("listening", resolve));
    const notSsh = await failure(bench.host(`root@127.0.0.1:${(web.address() as { port: number }).port}`).open("true"));
    expect(["SSH_NOT_SSH", "SSH_DROPPED"]).toContain(notSsh.code);
    web.close();
  });

  it("stops when nobody wants it any more", async () => {
    const mute = createServer(() => undefined).listen(0, "127.0.0.1");
    await new Promise((resolve) => mute.once("listening", resolve));
    const controller = new AbortController();
    const opening = bench
      .host(`root@127.0.0.1:${(mute.address() as { port: number }).port}`)
      .open("true", controller.signal);
    setTimeout(() => controller.abort(new Error("enough")), 50);
    await expect(opening).rejects.toThrow("enough");
    mute.close();
  });
});

describe.skipIf(!usable)("a host key (skipped without openssh-server)", () => {
  const where = (): string => `root@${sshd.host}:${sshd.port}`;
  const open = (target = {}): Promise<string> =>
    runOn(bench.host(where(), { sshKey: sshd.userKey, ...target }), "echo in");

  it("that is not known is refused, with the ways to make it known", async () => {
    const error = await failure(open());
    expect(error.code).toBe("SSH_HOST_KEY_UNKNOWN");
    expect(error.message).toMatch(/^cannot connect to '.*': its host key is not known: it shows ssh-ed25519 SHA256:/);
    expect(error.hint).toContain(`ssh-keyscan -p ${sshd.port} ${sshd.host} >> ${bench.knownHosts}`);
    expect(error.hint).toContain("eighth field");
    expect(isPermanentFailure(error)).toBe(true);
  });

  it("made known by that advice is believed", async () => {
    const line = execFileSync("ssh-keyscan", ["-p", String(sshd.port), sshd.host], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    writeFileSync(bench.knownHosts, line);
    expect(await open()).toBe("in\n");
  });

  it("is found among hashed names", async () => {
    writeFileSync(bench.knownHosts, `${second.knownHostsLine("other")}\n${sshd.knownHostsLine()}\n`);
    execFileSync("ssh-keygen", ["-q", "-H", "-f", bench.knownHosts], { stdio: "ignore" });
    expect(readFileSync(bench.knownHosts, "utf8")).toMatch(/^\|1\|/);
    expect(await open()).toBe("in\n");
  });

  it("that differs from known_hosts is refused, naming the line", async () => {
    writeFileSync(bench.knownHosts, `# mine\n\n${second.knownHostsLine(`[${sshd.host}]:${sshd.port}`)}\n`);
    const error = await failure(open());
    expect(error.code).toBe("SSH_HOST_KEY_CHANGED");
    expect(error.message).toContain(`${bench.knownHosts}:3 has another ssh-ed25519 key`);
    expect(error.hint).toContain(`ssh-keygen -R '[${sshd.host}]:${sshd.port}' -f ${bench.knownHosts}`);
  });

  it("that is revoked is refused whatever else is written", async () => {
    writeFileSync(bench.knownHosts, `${sshd.knownHostsLine()}\n@revoked * ${sshd.hostKeyPublic}\n`);
    expect(await failure(open())).toMatchObject({
      code: "SSH_HOST_KEY_REVOKED",
      message: expect.stringContaining(`revoked by ${bench.knownHosts}:2`),
    });
    bench.configure("StrictHostKeyChecking no");
    expect((await failure(open())).code).toBe("SSH_HOST_KEY_REVOKED");
  });

  it("of the machine list has the only word", async () => {
    // known_hosts knows nothing, then knows better: neither counts.
    expect(await open({ publicHostKey: sshd.base64HostKey })).toBe("in\n");
    writeFileSync(bench.knownHosts, `${sshd.knownHostsLine()}\n`);
    const error = await failure(open({ publicHostKey: second.base64HostKey }));
    expect(error.code).toBe("SSH_HOST_KEY_CHANGED");
    expect(error.message).toContain("not the one of the machine list");
    bench.configure("Host *\n StrictHostKeyChecking no");
    expect((await failure(open({ publicHostKey: second.base64HostKey }))).code).toBe("SSH_HOST_KEY_CHANGED");
    expect((await failure(open({ publicHostKey: "bm9uc2Vuc2U=" }))).code).toBe("SSH_HOST_KEY_BAD");
  });

  it("is looked up under its alias", async () => {
    writeFileSync(bench.knownHosts, `${sshd.knownHostsLine("builder-7")}\n`);
    bench.configure("Host *\n HostKeyAlias builder-7");
    expect(await open()).toBe("in\n");
  });

  it("that is new is accepted where the user's configuration says so, aloud", async () => {
    bench.configure("Host *\n StrictHostKeyChecking accept-new");
    expect(await open()).toBe("in\n");
    expect(bench.notices).toMatchObject([
      { code: "SSH_HOST_KEY_UNCHECKED", message: expect.stringContaining("accept-new") },
    ]);
    expect(readFileSync(bench.knownHosts, "utf8")).toBe(`${sshd.knownHostsLine()}\n`);
    writeFileSync(bench.knownHosts, second.knownHostsLine(`[${sshd.host}]:${sshd.port}`));
    expect((await failure(open())).code).toBe("SSH_HOST_KEY_CHANGED");
  });

  it("of the type that is known is asked for", async () => {
    const directory = join(bench.directory, "keys");
    mkdirSync(directory);
    execFileSync("ssh-keygen", ["-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", join(directory, "rsa")]);
    const both = await startSshd({ conf: `HostKey ${join(directory, "rsa")}` });
    try {
      const [type, key] = readFileSync(join(directory, "rsa.pub"), "utf8").split(" ");
      writeFileSync(bench.knownHosts, `[${both.host}]:${both.port} ${type} ${key}\n`);
      const host = bench.host(`root@${both.host}:${both.port}`, { sshKey: both.userKey });
      expect(await runOn(host, "echo rsa")).toBe("rsa\n");
    } finally {
      await both.stop();
    }
  });
});

describe.skipIf(!usable)("a route (skipped without openssh-server)", () => {
  it("leads through a jump host, whose connection is shared", async () => {
    bench.alias("jump", second);
    bench.alias("target", sshd, { extra: " ProxyJump jump" });
    const transports = bench.transports({ sshLimits: { channelsPerConnection: 1 } });
    const host = bench.host("target", {}, transports);
    const before = logins(second);
    const opened = await Promise.all([1, 2, 3].map(() => host.open("echo $SSH_CONNECTION; cat")));
    expect(host.connectionCount).toBe(3);
    expect(logins(second) - before).toBe(1);
    transports.close();
    for (const transport of opened) expect((await transport.closed).type).toBe("closedHere");
  });

  it("leads through several jump hosts, each with its own configuration", async () => {
    bench.alias("one", second);
    bench.alias("two", sshd);
    bench.alias("target", second, { known: false, extra: " ProxyJump one,two" });
    expect(await runOn(bench.host("target"), "echo $SSH_CONNECTION")).toContain(String(second.port));
  });

  it("through a jump host with an unknown key fails for good, naming both", async () => {
    bench.alias("jump", second, { known: false });
    bench.alias("target", sshd, { extra: " ProxyJump jump" });
    const error = await failure(bench.host("target").open("true"));
    expect(error.code).toBe("SSH_HOST_KEY_UNKNOWN");
    expect(error.message).toMatch(/^cannot connect to 'target': cannot connect to 'jump': its host key is not known/);
  });

  it("through a jump host that cannot reach the target says so", async () => {
    bench.alias("jump", second);
    bench.configure(`Host target\n HostName 127.0.0.1\n Port 1\n ProxyJump jump`);
    const error = await failure(bench.host("target").open("true"));
    expect(error.code).toBe("SSH_JUMP_REFUSED");
    expect(error.message).toContain("the jump host 'jump' could not reach 127.0.0.1:1");
  });

  it("that leads in a circle is noticed", async () => {
    bench.configure("Host a\n ProxyJump b\nHost b\n ProxyJump a");
    expect((await failure(bench.host("a").open("true"))).code).toBe("SSH_CONFIG_BAD");
  });

  it("leads through a ProxyCommand, and its last words explain a failure", async () => {
    const relay =
      "const s=require('net').connect(+process.argv[2],process.argv[1]);process.stdin.pipe(s).pipe(process.stdout)";
    bench.alias("proxied", sshd, { extra: ` ProxyCommand ${process.execPath} -e "${relay}" %h %p` });
    expect(await runOn(bench.host("proxied"), "echo through")).toBe("through\n");
    bench.configure("Host broken\n ProxyCommand echo no way >&2; exit 1");
    const error = await failure(bench.host("broken").open("true"));
    expect([error.code, error.message]).toEqual([
      "SSH_PROXY_FAILED",
      "cannot connect to 'broken': ProxyCommand ended: no way",
    ]);
  });

  it("reaches no shell with a name that a shell would act on, without OpenSSH's client as well", async () => {
    const trap = join(bench.directory, "trap");
    bench.configure(`Host trapped\n HostName $(touch\${IFS}${trap})\n ProxyCommand echo %h`);
    bench.configure("Host *\n ProxyCommand echo %h %r %n");
    const without = bench.transports({ sshProgram: null });
    expect((await failure(bench.host("trapped", {}, without).open("true"))).code).toBe("SSH_BAD_HOST");
    const evil = `$(touch\${IFS}${trap})`;
    for (const destination of [
      { user: null, host: evil, port: null },
      { user: evil, host: "mac", port: null },
    ]) {
      expect(() => bench.host("mac", { destination }, without)).toThrow(
        expect.objectContaining({ code: "SSH_BAD_HOST" }),
      );
    }
    const byOption = { configFile: bench.configFile, options: [{ keyword: "User", value: evil }] };
    const error = await failure(bench.host("mac", { settings: byOption }, without).open("true"));
    expect([error.code, error.message]).toEqual(["SSH_BAD_HOST", expect.stringContaining("a user name")]);
    expect(existsSync(trap)).toBe(false);
  });

  it("may be compressed", async () => {
    bench.alias("tight", sshd);
    expect(await runOn(bench.host("tight", { compress: true }), "head -c 300000 /dev/zero | tr '\\0' z | wc -c")).toBe(
      "300000\n",
    );
  });

  it("leads to a unix socket over there without a shell", async () => {
    const path = join(bench.directory, "daemon.sock");
    const server = createServer((socket) => socket.pipe(socket));
    await new Promise<void>((resolve) => server.listen(path, resolve));
    bench.alias("mac", sshd);
    const transport = await bench.host("mac").openSocket(path);
    await transport.write(Buffer.from("hello"));
    for await (const chunk of transport.input) {
      expect(Buffer.from(chunk).toString()).toBe("hello");
      break;
    }
    transport.close();
    const missing = await failure(bench.host("mac").openSocket(`${path}.no`));
    expect(missing.code).toBe("SSH_CHANNEL_REFUSED");
    server.close();
  });
});

describe.skipIf(!usable)("a remote Nix (skipped without openssh-server)", () => {
  it("runs by the opener of a place, and says how it ended", async () => {
    bench.alias("mac", sshd);
    const opener = bench.transports().opener({
      type: "ssh",
      target: {
        destination: { user: null, host: "mac", port: null },
        sshKey: null,
        publicHostKey: null,
        compress: false,
        settings: { configFile: bench.configFile, options: [] },
      },
      service: { type: "nix", nix: { protocol: "worker", program: ["/no/nix-daemon"], store: "/a b" } },
    });
    expect(opener.name).toBe("mac");
    const transport = await opener.open();
    expect(await readAll(transport)).toBe("");
    expect(await transport.closed).toEqual({ type: "closedThere", exitCode: 127, signal: null });
    expect(transport.stderrTail()).toMatch(/nix-daemon: No such file|not found/);
  });
});

function logins(of: Sshd): number {
  return of.log().match(/Accepted publickey/g)?.length ?? 0;
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 500; i++) {
    try {
      if (condition()) return;
    } catch {
      // Not yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error("waited in vain");
}
