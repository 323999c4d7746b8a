// The harness itself: builders behind real sshd, reached by alias, by Nix's own ssh stores, frozen, killed, and cut off.
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Fleet, hostSystem, startBuilders } from "./builders.ts";
import { canMakeLinks, createLink } from "./netns.ts";
import { nixGenerations } from "./nix-generations.ts";
import { createInstance } from "./nix-instance.ts";
import { busyboxPath, standInNixpkgs } from "./nixpkgs.ts";
import { collect, outputOf } from "./processes.ts";
import { startSshd } from "./sshd.ts";

const generations = await nixGenerations();
const usable = generations.length > 0 && busyboxPath() !== null;

describe.skipIf(!usable)("builders (skipped without root, nix-bin, openssh-server and busybox-static)", () => {
  let fleet: Fleet;

  beforeAll(async () => {
    fleet = await startBuilders([
      ...generations.map((generation) => ({ generation })),
      ...generations.map((generation) => ({ generation, account: "tsbt-plain" as const })),
      { account: "tsbt-trusted", scheme: "ssh" },
    ]);
  });
  afterAll(() => fleet.stop());

  const ssh = (alias: string, command: string) => collect("ssh", ["-F", fleet.sshConfig, alias, command]);

  it("answers at each alias with that machine's Nix and account", async () => {
    for (const builder of fleet.builders) {
      const answer = await ssh(builder.alias, "nix-store --version; id -un");
      expect(answer.stdout, answer.stderr).toContain(builder.instance.generation.version);
      expect(answer.stdout).toContain(builder.sshd.user);
    }
  });

  it("describes each machine in a line of the machines file", () => {
    const builder = fleet.builders[0]!;
    expect(builder.machineLine({ maxJobs: 4, speed: 2, features: ["kvm"], mandatory: ["benchmark"] })).toBe(
      `ssh-ng://b1 ${hostSystem} ${builder.sshd.userKey} 4 2 kvm benchmark ${builder.sshd.base64HostKey}`,
    );
  });

  it("is known to Nix: copies between machines and builds remotely", async () => {
    const nixpkgs = await standInNixpkgs();
    await using client = await createInstance(generations[0]!, { name: "client" });
    const env = { ...fleet.env, NIX_PATH: `nixpkgs=${nixpkgs}` };
    const [b1, b2] = fleet.builders;
    const built = await client.run(
      "nix-build",
      [
        "--no-out-link",
        "-j0",
        "--builders",
        b1!.machineLine(),
        "-E",
        `(import <nixpkgs> {}).runCommand "far" {} "uname > $out"`,
      ],
      { env },
    );
    expect(built.status, built.stderr).toBe(0);
    const path = built.stdout.trim();
    expect(await b1!.instance.output("nix-store", ["--check-validity", path])).toBe("");
    const copied = await client.run("nix", ["copy", "--no-check-sigs", "--to", b2!.uri, path], { env });
    expect(copied.status, copied.stderr).toBe(0);
    expect(await b2!.instance.output("cat", [path])).toBe("Linux");
    await b2!.instance.output("nix-store", ["--verify", "--check-contents"]);
  });

  it("tells trusted accounts from others: only the former may send unsigned outputs", async () => {
    const nixpkgs = await standInNixpkgs();
    await using client = await createInstance(generations[0]!, { name: "client" });
    const env = { ...fleet.env, NIX_PATH: `nixpkgs=${nixpkgs}` };
    const path = await client.output(
      "nix-build",
      ["--no-out-link", "-E", `(import <nixpkgs> {}).runCommand "unsigned" {} "uname > $out"`],
      { env },
    );
    const copyTo = (uri: string) => client.run("nix", ["copy", "--no-check-sigs", "--to", uri, path], { env });
    const [plain, trusted] = [fleet.builders[3]!, fleet.builders[6]!];
    const refused = await copyTo(plain.uri);
    expect(refused.status).not.toBe(0);
    expect(refused.stderr).toContain("signature");
    const accepted = await copyTo(`ssh-ng://${trusted.alias}`);
    expect(accepted.status, accepted.stderr).toBe(0);
  });

  it("can lack Nix on its PATH, or print before it answers", async () => {
    const { instance } = fleet.builders[1]!;
    await using bare = await startSshd({ instance, env: { PATH: "/nowhere" } });
    await using chatty = await startSshd({
      instance,
      forceCommand: `echo Welcome; exec sh -c "$SSH_ORIGINAL_COMMAND"`,
    });
    const run = (sshd: typeof bare, command: string) =>
      collect("ssh", [
        ...[
          "-F",
          "/dev/null",
          "-o",
          "StrictHostKeyChecking=no",
          "-o",
          "UserKnownHostsFile=/dev/null",
          "-o",
          "LogLevel=ERROR",
        ],
        ...["-i", sshd.userKey, "-p", `${sshd.port}`, "root@127.0.0.1", command],
      ]);
    const missing = await run(bare, "nix-store --version");
    expect(missing.status).toBe(127);
    expect(missing.stderr).toContain("nix-store: command not found");
    expect((await run(chatty, "echo done")).stdout).toBe("Welcome\ndone\n");
  });
});

describe.skipIf(!usable)("a builder in trouble (skipped without root, nix-bin and openssh-server)", () => {
  it("freezes without closing connections, thaws, and dies with its builds", async () => {
    await using fleet = await startBuilders(1);
    const { sshd, instance } = fleet.builders[0]!;
    const ssh = (command: string, timeoutMs: number) =>
      collect("ssh", ["-F", fleet.sshConfig, "b1", command], { timeoutMs });
    sshd.freeze();
    expect((await ssh("true", 500)).signal).toBe("SIGKILL");
    sshd.thaw();
    expect((await ssh("true", 10_000)).status).toBe(0);
    const running = ssh("echo started; sleep 60", 30_000);
    while (!instance.processes().some((pid) => pid !== sshd.pid))
      await new Promise((resolve) => setTimeout(resolve, 10));
    await sshd.kill();
    expect((await running).status).toBe(255);
    expect(instance.processes()).toEqual([]);
    const refused = await new Promise<string>((resolve) => {
      connect({ host: sshd.host, port: sshd.port }).once("error", (error) => resolve(error.message));
    });
    expect(refused).toContain("ECONNREFUSED");
    await using again = await startSshd({ instance, port: sshd.port });
    expect(again.port).toBe(sshd.port);
  });

  it.skipIf(!canMakeLinks())("is cut off when the cable is pulled (skipped without iproute2)", async () => {
    await using link = await createLink();
    await using instance = await createInstance(generations[0]!, { name: "far" });
    const { path, address } = link.server;
    await using sshd = await startSshd({ instance, address, networkNamespace: path });
    const ssh = (timeoutMs: number) =>
      collect(
        "nsenter",
        [
          ...[
            `--net=${link.client.path}`,
            "ssh",
            "-F",
            "/dev/null",
            "-o",
            "StrictHostKeyChecking=no",
            "-i",
            sshd.userKey,
          ],
          ...["-o", "UserKnownHostsFile=/dev/null", "-p", `${sshd.port}`, `root@${address}`, "nix-store --version"],
        ],
        { timeoutMs },
      );
    expect((await ssh(10_000)).stdout).toContain(generations[0]!.version);
    await link.down();
    expect((await ssh(1_000)).signal).toBe("SIGKILL");
    await link.up();
    expect((await ssh(10_000)).status).toBe(0);
    expect(await outputOf("ip", ["netns", "list"])).toContain("-server");
  });
});
