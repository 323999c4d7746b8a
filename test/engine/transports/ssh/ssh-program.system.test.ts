// What only OpenSSH's own program can do, against a real sshd: certificates both ways, key exchanges the library lacks; and host keys that are
// written down or revoked.
import { spawn } from "node:child_process";
import { copyFileSync, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { parseSshOptions } from "../../../../src/engine/config/ssh-options.ts";
import { settingsFromOptions } from "../../../../src/engine/transports/ssh/config/ssh-settings.ts";
import { type PeerKind, transportContract } from "../../../contracts/transport.ts";
import { ended, outputOf, processesWith, until } from "../../../support/processes.ts";
import { type Sshd, startSshd } from "../../../support/sshd.ts";
import { removeDirectory, temporaryDirectory } from "../../../support/temporary-directory.ts";
import { hasPrograms } from "../../../support/tools.ts";
import { failure, readAll, runOn, type SshBench, sshBench } from "./ssh-bench.ts";

const usable = hasPrograms("sshd", "ssh-keygen", "ssh");

let bench: SshBench;
beforeEach(() => {
  bench = sshBench();
});
afterEach(() => bench.dispose());

const COMMANDS: Record<PeerKind, string> = {
  echo: "cat",
  silent: "sleep 2",
  leaves: "read line; echo bye >&2; exit 7",
};

describe.skipIf(!usable)("through the ssh program (skipped without openssh-server)", () => {
  let sshd: Sshd;
  let directory: string;
  /** Logs in by certificate alone. */
  const certified = (name: string): void => {
    bench.configure(
      `Host ${name}\n HostName ${sshd.host}\n Port ${sshd.port}\n User root\n IdentityFile ${join(directory, "user")}\n CertificateFile ${join(directory, "user-cert.pub")}\n IdentitiesOnly yes`,
    );
    writeFileSync(bench.knownHosts, `@cert-authority * ${readFileSync(join(directory, "ca.pub"), "utf8")}`);
  };

  beforeAll(async () => {
    directory = temporaryDirectory("certificates");
    const keygen = (...words: readonly string[]) => outputOf("ssh-keygen", ["-q", ...words]);
    for (const name of ["ca", "user", "host"]) {
      await keygen("-t", "ed25519", "-N", "", "-C", name, "-f", join(directory, name));
    }
    await keygen("-s", join(directory, "ca"), "-I", "u", "-n", "root", join(directory, "user.pub"));
    await keygen("-s", join(directory, "ca"), "-I", "h", "-h", "-n", "127.0.0.1", join(directory, "host.pub"));
    sshd = await startSshd({
      maxStartups: "100",
      conf: [
        `TrustedUserCAKeys ${join(directory, "ca.pub")}`,
        `HostKey ${join(directory, "host")}`,
        `HostCertificate ${join(directory, "host-cert.pub")}`,
        "HostKeyAlgorithms ssh-ed25519-cert-v01@openssh.com,ssh-ed25519",
      ].join("\n"),
    });
  });
  afterAll(async () => {
    await sshd?.stop();
    if (directory !== undefined) removeDirectory(directory);
  });

  transportContract(
    "a channel",
    (kind) => {
      certified("contract");
      return bench.host("contract").open(COMMANDS[kind]);
    },
    { hasStderr: true, hasExitCode: true },
  );

  it("logs in by user certificate, believes the host's, and says why", async () => {
    certified("mac");
    const host = bench.host("mac");
    expect(await runOn(host, "echo $USER")).toBe("root\n");
    expect(host.via).toMatch(/^CertificateFile, .*@cert-authority$/);
    expect(host.heard).toBeNull();
    expect(bench.notices).toEqual([]);
  });

  it("takes the certificate, and where to connect from, out of NIX_SSHOPTS too", async () => {
    certified("unused");
    const certificate = join(directory, "a certificate");
    copyFileSync(join(directory, "user-cert.pub"), certificate);
    const words = `-i ${join(directory, "user")} -o "CertificateFile=${certificate}" -b 127.0.0.1`;
    const settings = { ...settingsFromOptions(parseSshOptions(words).options), configFile: bench.configFile };
    const host = bench.host(`root@${sshd.host}:${sshd.port}`, { settings });
    expect(await runOn(host, "echo $SSH_CONNECTION")).toMatch(/^127\.0\.0\.1 /);
    expect(host.via).toMatch(/^CertificateFile, BindAddress, /);
    expect(bench.notices).toEqual([]);
  });

  it("finds the certificate that lies beside the key", async () => {
    copyFileSync(join(directory, "user"), join(bench.directory, "id"));
    copyFileSync(join(directory, "user-cert.pub"), join(bench.directory, "id-cert.pub"));
    certified("unused");
    const destination = `root@${sshd.host}:${sshd.port}`;
    const host = bench.host(destination, { sshKey: join(bench.directory, "id") });
    expect(await runOn(host, "echo in")).toBe("in\n");
    expect(host.via).toContain("id-cert.pub");
  });

  it("believes the key of the machine list alone, where it has one", async () => {
    certified("mac");
    const right = Buffer.from(readFileSync(join(directory, "host.pub"), "utf8")).toString("base64");
    expect(await runOn(bench.host("mac", { publicHostKey: right }), "echo in")).toBe("in\n");
    const wrong = await failure(bench.host("mac", { publicHostKey: sshd.base64HostKey }).open("true"));
    expect(wrong.code).toBe("SSH_HOST_KEY_CHANGED");
  });

  it("carries forty commands at once, on as many connections as MaxSessions asks for, and leaves nothing running", async () => {
    certified("many");
    const host = bench.host("many");
    const texts = await Promise.all(Array.from({ length: 40 }, (_, n) => runOn(host, `sleep 0.3; echo ${n}`)));
    expect(texts).toEqual(Array.from({ length: 40 }, (_, n) => `${n}\n`));
    expect(host.connectionCount).toBeGreaterThan(3);
    host.close();
    await until("the program to end", () => processesWith(bench.configFile).length === 0);
  });

  it("ends what is dropped, over there as well", async () => {
    certified("dropped");
    // A server notices that its input has ended, as Nix's do.
    const transport = await bench.host("dropped").open("exec cat /dev/null - /nonexistent-765432");
    const running = () => processesWith("cat\0/dev/null\0-\0/nonexistent-765432");
    await until("the command to run", () => running().length > 0);
    transport.close();
    expect(await transport.closed).toEqual({ type: "closedHere" });
    await until("it to be gone", () => running().length === 0);
  });

  it("leaves nothing behind when this program is killed while it logs in", async () => {
    const program = join(bench.directory, "ssh");
    const told = join(bench.directory, "told");
    writeFileSync(program, `#!/bin/sh\necho "$2" >${told}\nexec sleep 4321\n`, { mode: 0o755 });
    const source = new URL("../../../../src/engine/", import.meta.url).href;
    const script = `
      import { systemClock } from "${source}base/clock.ts";
      import { sshProgramLogin } from "${source}transports/ssh/ssh-program.ts";
      const options = { name: "mac", reason: "", program: "${program}", words: ["mac"], pinned: [], compress: false };
      const limits = { keepAliveIntervalMs: 5000, keepAliveCount: 3, signal: new AbortController().signal };
      await sshProgramLogin({ ...options, ...limits, environment: process.env, clock: systemClock });`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: "ignore" });
    await until("the program to be started", () => existsSync(told) && readFileSync(told, "utf8").endsWith("\n"));
    const directory = dirname(readFileSync(told, "utf8").trim());
    expect(existsSync(directory)).toBe(true);
    child.kill("SIGKILL");
    await ended(child);
    await until(
      "the program to end",
      () => processesWith(directory).length + processesWith("sleep\x004321").length === 0,
    );
    expect(existsSync(directory)).toBe(false);
  });

  it("says that the connection was lost when the machine is gone", async () => {
    const other = await startSshd({ conf: `TrustedUserCAKeys ${join(directory, "ca.pub")}` });
    try {
      bench.configure(
        `Host gone\n HostName ${other.host}\n Port ${other.port}\n User root\n IdentityFile ${join(directory, "user")}\n CertificateFile ${join(directory, "user-cert.pub")}`,
      );
      writeFileSync(bench.knownHosts, other.knownHostsLine());
      const host = bench.host("gone");
      const transport = await host.open("cat");
      await other.kill();
      const reason = await transport.closed;
      expect(reason).toMatchObject({ type: "failed", error: { code: "SSH_LINK_LOST" } });
      await expect(readAll(transport)).rejects.toMatchObject({ code: "SSH_LINK_LOST" });
      await until("the link to be forgotten", () => host.connectionCount === 0);
      const again = await failure(host.open("true"));
      expect(again.code).toBe("SSH_REFUSED");
    } finally {
      await other.stop();
    }
  });

  it("says that the connection was lost when the machine answers no more", async () => {
    const other = await startSshd({ conf: `TrustedUserCAKeys ${join(directory, "ca.pub")}` });
    try {
      bench.configure(
        `Host silent\n HostName ${other.host}\n Port ${other.port}\n User root\n IdentityFile ${join(directory, "user")}\n CertificateFile ${join(directory, "user-cert.pub")}`,
      );
      writeFileSync(bench.knownHosts, other.knownHostsLine());
      const host = bench.host(
        "silent",
        {},
        bench.transports({ sshLimits: { keepAliveIntervalMs: 1000, keepAliveCount: 2 } }),
      );
      const transport = await host.open("cat");
      other.freeze();
      expect(await transport.closed).toMatchObject({ type: "failed", error: { code: "SSH_LINK_LOST" } });
    } finally {
      other.thaw();
      await other.stop();
    }
  });

  it("refuses what the certificate is not for, with ssh's words", async () => {
    bench.configure(
      `Host other\n HostName ${sshd.host}\n Port ${sshd.port}\n User nobody\n IdentityFile ${join(directory, "user")}\n CertificateFile ${join(directory, "user-cert.pub")}`,
    );
    writeFileSync(bench.knownHosts, `@cert-authority * ${readFileSync(join(directory, "ca.pub"), "utf8")}`);
    const rejected = await failure(bench.host("other").open("true"));
    expect(rejected.code).toBe("SSH_KEY_REJECTED");
    expect(rejected.message).toMatch(/^cannot connect to 'other': ssh: .*Permission denied/);
    writeFileSync(bench.knownHosts, "");
    const unknown = await failure(bench.host("other").open("true"));
    expect(unknown.code).toBe("SSH_HOST_KEY_UNKNOWN");
  });

  it("is how a host is reached that offers no key exchange the library knows", async () => {
    const modern = await startSshd({ conf: "KexAlgorithms sntrup761x25519-sha512@openssh.com" });
    try {
      bench.alias("modern", modern);
      const host = bench.host("modern");
      expect(await runOn(host, "echo in")).toBe("in\n");
      expect(host.via).toBe("no algorithm in common without it");
      // What was learned holds for the next connection: the server is not asked in vain again.
      const inVain = () => modern.log().match(/Unable to negotiate/g)?.length ?? 0;
      const before = inVain();
      expect(before).toBe(1);
      await until("the first connection to be full", async () => {
        await Promise.all(Array.from({ length: 12 }, () => runOn(host, "sleep 0.2")));
        return host.connectionCount > 1;
      });
      expect(inVain()).toBe(before);
      const without = bench.host("modern", {}, bench.transports({ sshProgram: null }));
      expect((await failure(without.open("true"))).code).toBe("SSH_NO_COMMON_ALGORITHM");
    } finally {
      await modern.stop();
    }
  });
});

describe.skipIf(!usable)("host keys (skipped without openssh-server)", () => {
  let sshd: Sshd;
  beforeAll(async () => {
    sshd = await startSshd();
  });
  afterAll(() => sshd?.stop());

  it("are written down once with accept-new, as ssh reads them, and compared from then on", async () => {
    const file = join(bench.directory, "new/known_hosts");
    for (const hashed of ["no", "yes"]) {
      bench.alias(`${hashed}`, sshd, {
        known: false,
        extra: ` StrictHostKeyChecking accept-new\n UserKnownHostsFile ${file}-${hashed}\n HashKnownHosts ${hashed}`,
      });
    }
    // The first value of a keyword wins: the bench's own file must not be it.
    writeFileSync(bench.configFile, readFileSync(bench.configFile, "utf8").replace(/^UserKnownHostsFile.*\n/, ""));
    for (const hashed of ["no", "yes"]) {
      const transports = bench.transports({ sshLimits: { channelsPerConnection: 1 } });
      const host = bench.host(hashed, {}, transports);
      await Promise.all([1, 2, 3].map(() => runOn(host, "sleep 0.2")));
      const written = readFileSync(`${file}-${hashed}`, "utf8");
      expect(written.trim().split("\n")).toHaveLength(1);
      expect(statSync(`${file}-${hashed}`).mode & 0o777).toBe(0o600);
      expect(statSync(join(bench.directory, "new")).mode & 0o777).toBe(0o700);
      expect(written.startsWith("|1|")).toBe(hashed === "yes");
      const place = `[${sshd.host}]:${sshd.port}`;
      expect(await outputOf("ssh-keygen", ["-F", place, "-f", `${file}-${hashed}`])).toContain(
        sshd.hostKeyPublic.split(" ")[1],
      );
    }
    expect(bench.notices.map(({ message }) => message).join("\n")).toMatch(
      /accept-new, and written to .*known_hosts-no/,
    );
    const before = bench.notices.length;
    expect(await runOn(bench.host("no"), "echo again")).toBe("again\n");
    expect(bench.notices).toHaveLength(before);
  });

  it.each(["accept-new", "no"])(
    "that are new are refused with UserKnownHostsFile none and %s, as by ssh",
    async (strict) => {
      bench.alias("nowhere", sshd, {
        known: false,
        extra: ` StrictHostKeyChecking ${strict}\n UserKnownHostsFile none`,
      });
      writeFileSync(bench.configFile, readFileSync(bench.configFile, "utf8").replace(/^UserKnownHostsFile.*\n/, ""));
      const error = await failure(bench.host("nowhere").open("true"));
      expect([error.code, error.message]).toEqual([
        "SSH_HOST_KEY_UNKNOWN",
        expect.stringContaining("no place to write it to"),
      ]);
      const words = ["-F", bench.configFile, "-o", "BatchMode=yes", "nowhere", "true"];
      await expect(outputOf("ssh", words)).rejects.toThrow("Host key verification failed");
      expect(existsSync("~")).toBe(false);
    },
  );

  it("that are revoked are refused, all of them where the list cannot be read", async () => {
    const list = join(bench.directory, "revoked");
    writeFileSync(list, `# gone\n${sshd.hostKeyPublic} comment\n`);
    bench.alias("revoked", sshd, { extra: ` RevokedHostKeys ${list}` });
    bench.alias("unreadable", sshd, { extra: ` RevokedHostKeys ${list}-nowhere` });
    for (const name of ["revoked", "unreadable"]) {
      const error = await failure(bench.host(name).open("true"));
      expect(error.code).toBe("SSH_HOST_KEY_REVOKED");
      expect(error.message).toContain(list);
    }
    // A list in OpenSSH's binary form is left to its program.
    await outputOf("ssh-keygen", ["-q", "-k", "-f", `${list}.krl`, list]);
    bench.alias("binary", sshd, { extra: ` RevokedHostKeys ${list}.krl` });
    const host = bench.host("binary");
    expect((await failure(host.open("true"))).code).toBe("SSH_HOST_KEY_REVOKED");
    expect(existsSync(`${list}.krl`)).toBe(true);
    const without = bench.host("binary", {}, bench.transports({ sshProgram: null }));
    const refused = await failure(without.open("true"));
    expect([refused.code, refused.message]).toEqual(["SSH_HOST_KEY_REVOKED", expect.stringContaining("binary form")]);
    bench.alias("empty", sshd, { extra: " RevokedHostKeys /dev/null" });
    expect(await runOn(bench.host("empty"), "echo in")).toBe("in\n");
  });
});
