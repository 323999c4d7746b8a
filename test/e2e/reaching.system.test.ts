// `ping-store` and `builders`: what answered, or why not, for every way a builder can be out of reach.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Fleet, startBuilders } from "../support/builders.ts";
import { nixGenerations } from "../support/nix-generations.ts";
import { busyboxPath } from "../support/nixpkgs.ts";
import { type Client, createClient } from "./client.ts";

const generations = await nixGenerations();
const usable = generations.length > 0 && busyboxPath() !== null;

describe.skipIf(!usable)("reaching builders (skipped without root, nix-bin, openssh-server and busybox-static)", () => {
  let fleet: Fleet;
  let client: Client;
  let env: Record<string, string>;

  beforeAll(async () => {
    fleet = await startBuilders([
      ...generations.map((generation) => ({ generation })),
      { alias: "bare", sshd: { env: { PATH: "/nowhere" } } },
      { alias: "gone" },
    ]);
    client = await createClient(fleet, { generation: generations[0]! });
    const [first] = fleet.builders;
    const gone = fleet.builders.at(-1)!;
    const other = fleet.builders[1] ?? gone;
    await gone.sshd.stop();
    const { host, port, userKey, strangerKey } = first!.sshd;
    const block = (alias: string, key: string, knownHosts: string, hostName = host) =>
      `Host ${alias}\n  HostName ${hostName}\n  Port ${port}\n  User root\n  IdentityFile ${key}\n  IdentitiesOnly yes\n  HostKeyAlias ${alias}\n  UserKnownHostsFile ${knownHosts}\n`;
    const changed = client.write("changed_hosts", `${other.sshd.knownHostsLine("changed")}\n`);
    const known = client.write("stranger_hosts", `${first!.sshd.knownHostsLine("stranger")}\n`);
    const text = [
      block("changed", userKey, changed),
      block("unknown", userKey, "/dev/null"),
      block("stranger", strangerKey, known),
      block("nowhere", userKey, "/dev/null", "nowhere.invalid"),
      // An Include belongs to the block it stands in.
      `Host *\n  Include ${fleet.sshConfig}`,
    ].join("\n");
    env = { NIX_SSHOPTS: `-F ${client.write("ssh_config", text)}` };
  });
  afterAll(async () => {
    await client?.remove();
    await fleet?.stop();
  });

  const ping = (alias: string, scheme = "ssh-ng") =>
    client.run(["ping-store", "--store", `${scheme}://${alias}`], { env, timeoutMs: 20_000 });

  for (const [index, generation] of generations.entries()) {
    it(`reaches Nix ${generation.version} by both schemes`, async () => {
      for (const scheme of ["ssh-ng", "ssh"]) {
        const answer = await ping(`b${index + 1}`, scheme);
        expect(answer.status, answer.stderr).toBe(0);
        expect(answer.stdout + answer.stderr).toContain(generation.version);
      }
    });
  }

  const failures: readonly [string, RegExp][] = [
    ["nowhere", /cannot connect to 'nowhere'.*(not found|ENOTFOUND|resolve|address|EAI_AGAIN)/i],
    ["gone", /cannot connect to 'gone'.*refused/i],
    ["unknown", /cannot connect to 'unknown'.*host key/is],
    [
      "changed",
      /cannot connect to 'changed'.*host key.*chang|cannot connect to 'changed'.*chang.*key|cannot connect to 'changed'.*expected.*key/is,
    ],
    ["stranger", /cannot connect to 'stranger'.*rejected.*stranger_key/i],
    ["bare", /cannot connect to 'bare'.*nix-(daemon|store): command not found[\s\S]*PATH/],
  ];
  for (const [alias, says] of failures) {
    it(`says of '${alias}' why it cannot be reached, and what to do`, async () => {
      const answer = await ping(alias);
      expect(answer.status).toBe(1);
      expect(answer.stderr).toMatch(says);
      expect(answer.stderr).toContain("hint:");
    });
  }

  it("lists every machine with what it answered", async () => {
    const lines = fleet.machines({ maxJobs: 2, features: ["kvm"] });
    const list = client.write("machines", lines);
    const text = await client.run(["builders", "--builders", `@${list}`], { env });
    expect(text.status).toBe(1);
    for (const generation of generations) expect(text.stdout).toContain(`Nix ${generation.version}`);
    expect(text.stdout).toContain("2 slots");
    expect(text.stdout).toMatch(/bare[\s\S]*command not found/);
    expect(text.stdout).toMatch(/gone[\s\S]*refused/);
    const json = await client.run(["builders", "--json", "--builders", `@${list}`], { env });
    const { builders } = JSON.parse(json.stdout) as {
      builders: { name: string; answer: { type: string; trusted?: boolean } }[];
    };
    expect(builders.map(({ answer }) => answer.type)).toEqual([
      ...generations.map(() => "reachable"),
      "failed",
      "failed",
    ]);
    expect(builders[0]!.answer.trusted).toBe(true);
  });

  it("refuses a machine of the list whose own host key differs", async () => {
    const [first, second] = fleet.builders;
    const fields = first!.machineLine().split(" ");
    fields[7] = (second ?? first)!.sshd.base64HostKey;
    const answer = await client.run(["builders", "--builders", fields.join(" ")], { env });
    expect(answer.status).toBe(second === undefined ? 0 : 1);
    if (second !== undefined) expect(answer.stdout).toMatch(/host key/i);
  });
});
