import { describe, expect, it } from "vitest";
import { machineName, machineNames } from "../../../src/engine/config/machine.ts";
import { completeUri, parseMachines } from "../../../src/engine/config/machine-list.ts";
import { printStoreReference } from "../../../src/engine/config/store-reference.ts";

const HOST_KEY = Buffer.from("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ root@mac\n").toString("base64");

function parse(text: string, files: Record<string, string | null> = {}) {
  return parseMachines(
    text,
    { file: "--builders", line: 1 },
    {
      cwd: "/here",
      home: "/home/alice",
      defaultSystem: "x86_64-linux",
      readFile: (path) => {
        const content = files[path];
        if (content === undefined) return { type: "missing" };
        return content === null ? { type: "unreadable", reason: "EACCES" } : { type: "text", text: content };
      },
    },
  );
}

function uris(text: string, files: Record<string, string | null> = {}): string[] {
  return parse(text, files).machines.map((machine) => printStoreReference(machine.store));
}

function messages(text: string, files: Record<string, string | null> = {}): string[] {
  return parse(text, files).problems.map(({ error }) => error.message);
}

describe("machines grammar", () => {
  it("passes over a byte order mark, of an included file too", () => {
    const files = { "/m": "\ufeffssh://a x86_64-linux" };
    expect(uris("\ufeffssh://b ; @/m", files)).toEqual(["ssh://b", "ssh://a"]);
    expect(messages("@/m", files)).toEqual([]);
  });

  it("reads all eight fields", () => {
    const { machines, problems } = parse(
      `ssh-ng://nix@mac x86_64-darwin,aarch64-darwin /k 8 1.5 kvm,big-parallel benchmark ${HOST_KEY}`,
    );
    expect(problems).toEqual([]);
    expect(machines).toHaveLength(1);
    expect(machines[0]).toMatchObject({
      systems: new Set(["x86_64-darwin", "aarch64-darwin"]),
      maxJobs: 8,
      speedFactor: 1.5,
      supportedFeatures: new Set(["kvm", "big-parallel"]),
      mandatoryFeatures: new Set(["benchmark"]),
      store: {
        type: "ssh",
        scheme: "ssh-ng",
        destination: { user: "nix", host: "mac", port: null },
        parameters: {
          sshKey: "/k",
          base64SshPublicHostKey: HOST_KEY,
          systemFeatures: new Set(["kvm", "big-parallel", "benchmark"]),
        },
      },
    });
  });

  it("gives what is left out or '-' its default", () => {
    for (const line of ["mac", "mac - - - - - - -", "  mac -  -\t-"]) {
      const { machines, problems } = parse(line);
      expect(problems).toEqual([]);
      expect(machines[0]).toMatchObject({ systems: new Set(["x86_64-linux"]), maxJobs: 1, speedFactor: 1 });
      expect(machines[0]?.supportedFeatures.size).toBe(0);
      expect(machines[0]?.store).toMatchObject({ scheme: "ssh", parameters: { sshKey: null, systemFeatures: null } });
    }
  });

  it("separates machines by ';' and newlines, and skips blanks and comments", () => {
    expect(uris("a ; b;c\n\n # d\n;;\ne # f\n")).toEqual(["ssh://a", "ssh://b", "ssh://c", "ssh://e"]);
    expect(uris("")).toEqual([]);
  });

  it("takes comments off before it splits at ';', as Nix 2.29 does", () => {
    expect(uris("h1 # fast ; h2\nh3")).toEqual(["ssh://h1", "ssh://h3"]);
  });

  it("includes files, also files in files, and ignores one that is missing", () => {
    const files = { "/etc/nix/machines": "a\n @/more ; b", "/more": "c # c\n", "/here/rel": "r", "/home/alice/m": "h" };
    expect(uris("@/etc/nix/machines", files)).toEqual(["ssh://a", "ssh://c", "ssh://b"]);
    expect(uris("x ; @ /more ; @rel;@~/m ; y", files)).toEqual(["ssh://x", "ssh://c", "ssh://r", "ssh://h", "ssh://y"]);
    expect(parse("@/gone")).toEqual({ machines: [], problems: [] });
  });

  it("names a file that includes itself or cannot be read, and goes on", () => {
    const files = { "/a": "one\n@/b", "/b": "@/a\ntwo", "/secret": null };
    expect(uris("@/a", files)).toEqual(["ssh://one", "ssh://two"]);
    expect(messages("@/a", files)).toEqual(["/b:1: expected '@FILE', found '@/a', which includes itself"]);
    expect(messages("@/secret ; @", files)).toEqual([
      "--builders:1: cannot read '/secret': EACCES",
      "--builders:1: expected '@FILE', found nothing behind '@'",
    ]);
  });

  it("names file, line, field, value and form of every bad field; one bad line hides no other", () => {
    const files = {
      "/etc/nix/machines":
        "good1\n- x86_64-linux\nm1 - - eight fast\nm2 - - -1\nm3 - - 1 -2\nm4 - - 1 1 - - zzz\nssh://\n\ngood2",
    };
    expect(uris("@/etc/nix/machines", files)).toEqual(["ssh://good1", "ssh://good2"]);
    expect(messages("@/etc/nix/machines", files)).toEqual([
      "/etc/nix/machines:2: field 1 (store URI): expected the URI of a store, such as 'ssh://nix@mac', found '-'",
      "/etc/nix/machines:3: field 4 (max jobs): expected a whole number, 0 or more, found 'eight'",
      "/etc/nix/machines:3: field 5 (speed factor): expected a positive number, such as '2' or '1.5', found 'fast'",
      "/etc/nix/machines:4: field 4 (max jobs): expected a whole number, 0 or more, found '-1'",
      "/etc/nix/machines:5: field 5 (speed factor): expected a positive number, such as '2' or '1.5', found '-2'",
      "/etc/nix/machines:6: field 8 (public host key): expected base64 of a public host key, found 'zzz'",
      "/etc/nix/machines:7: field 1 (store URI): expected the URI of a store, such as 'ssh://nix@mac', found 'ssh://'",
    ]);
  });

  it("says with file and line that ssh would refuse a name, and repeats no password", () => {
    const wrong = (text: string) =>
      parse(text).problems.map(({ error }) => `${error.code} ${error.message} ${error.hint}`);
    expect(wrong("\nssh-ng://$(id)@mac")).toEqual([
      expect.stringMatching(
        /^MACHINES_BAD_FIELD --builders:2: field 1 .*'ssh-ng:\/\/\$\(id\)@mac' .*expected a user name/,
      ),
    ]);
    expect(wrong("mac`id`")).toEqual([
      expect.stringMatching(/^MACHINES_BAD_FIELD --builders:1: .*expected a host name/),
    ]);
    const secret =
      "u:hun/ter2@h; u:hun@ter2@h; u%3Ahunter2@h; a - - - - - - - ssh://u:hunter2@h; ssh://u:hunter2@h?x=y";
    const said = wrong(secret);
    expect(said).toHaveLength(5);
    expect(said.join("\n")).not.toMatch(/hun|ter2/);
  });

  it("warns of a ninth field and of unknown parameters, and keeps the machine", () => {
    const { machines, problems } = parse(`mac?wat=1 - - 1 1 - - ${HOST_KEY} nine`);
    expect(machines).toHaveLength(1);
    expect(problems.map(({ severity, error }) => [severity, error.message])).toEqual([
      ["warning", "--builders:1: expected at most 8 fields, found 9; ignored from 'nine' on"],
      ["warning", "--builders:1: unknown store parameter 'wat'"],
    ]);
  });

  it("takes speed 0 for 1 and keeps a machine without jobs", () => {
    expect(parse("a - - 0 0").machines[0]).toMatchObject({ maxJobs: 0, speedFactor: 1 });
  });

  it("puts ssh:// only before what is no URI, path or special word", () => {
    expect(
      ["mac", "nix@mac", "auto", "daemon", "local", "local?root=/x", "autobahn", "/x", "./x", "ssh-ng://m"].map(
        completeUri,
      ),
    ).toEqual([
      "ssh://mac",
      "ssh://nix@mac",
      "auto",
      "daemon",
      "local",
      "local?root=/x",
      "ssh://autobahn",
      "/x",
      "./x",
      "ssh-ng://m",
    ]);
  });

  it("refuses what is not reached over SSH where the list names it, and only that", () => {
    for (const uri of [
      "/my/store",
      "daemon",
      "auto",
      "local",
      "unix:///run/socket",
      "file:///cache",
      "https://cache",
    ]) {
      const { machines, problems } = parse(`mac\n${uri} - /k`);
      expect(machines.map(machineName)).toEqual(["mac"]);
      expect(problems.map(({ severity, where, error }) => [severity, where.line, error.code])).toEqual([
        ["error", 2, "MACHINE_NOT_SSH"],
      ]);
      expect(problems[0]?.error.message).toContain(`found '${uri}'`);
    }
  });

  it("gives the key of the list to the machine, where it wins over the URI's", () => {
    expect(parse("ssh://m?ssh-key=/uri - /field").machines[0]?.store.parameters).toMatchObject({ sshKey: "/field" });
    expect(parse("ssh://m?ssh-key=/uri").machines[0]?.store.parameters).toMatchObject({ sshKey: "/uri" });
  });
});

describe("the manual's machines", () => {
  const list = `
    nix@scratchy.labs.cs.uu.nl  i686-linux      /home/nix/.ssh/id_scratchy_auto        8 1 kvm
    nix@itchy.labs.cs.uu.nl     i686-linux      /home/nix/.ssh/id_scratchy_auto        8 2
    nix@poochie.labs.cs.uu.nl   i686-linux      /home/nix/.ssh/id_scratchy_auto        1 2 kvm benchmark`;
  const { machines, problems } = parse(list);

  it("have the systems, slots, speeds and features the manual says", () => {
    expect(problems).toEqual([]);
    const described = machines.map(({ store, systems, maxJobs, speedFactor, supportedFeatures, mandatoryFeatures }) => [
      store.destination.host.split(".")[0],
      ...[[...systems], maxJobs, speedFactor, [...supportedFeatures], [...mandatoryFeatures]],
    ]);
    expect(described).toEqual([
      ["scratchy", ["i686-linux"], 8, 1, ["kvm"], []],
      ["itchy", ["i686-linux"], 8, 2, [], []],
      ["poochie", ["i686-linux"], 1, 2, ["kvm"], ["benchmark"]],
    ]);
  });
});

describe("names of machines", () => {
  it("are short and all different", () => {
    const { machines } = parse("nix@mac ; ssh-ng://nix@mac ; ssh://h:2222 ; ssh://[::1]:22 ; ssh://local");
    expect(machineNames(machines, ["local"])).toEqual(["nix@mac", "nix@mac#2", "h:2222", "[::1]:22", "local#2"]);
  });
});
