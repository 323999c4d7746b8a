import { describe, expect, it } from "vitest";
import {
  type LocalFacts,
  parseSshDump,
  readSshKeywords,
  splitWords,
  unsupportedSettings,
} from "../../../../../src/engine/transports/ssh/config/ssh-config.ts";
import { readSshConfigFiles } from "../../../../../src/engine/transports/ssh/config/ssh-config-file.ts";

const LOCAL: LocalFacts = {
  home: "/home/ann",
  user: "ann",
  uid: 1000,
  hostName: "desk.lab",
  environment: { SSH_AUTH_SOCK: "/run/agent", KEYS: "/keys", OTHER: "/run/other" },
};

const read = (dump: string, host = "mac") => readSshKeywords(parseSshDump(dump), host, host, LOCAL);

describe("what ssh -G prints", () => {
  it("becomes the host's configuration", () => {
    const config = read(
      [
        "user nix",
        "hostname mac.lab",
        "port 2222",
        "identityfile ~/.ssh/id_ed25519",
        `identityfile \${KEYS}/%n-%r-%%`,
        "identitiesonly yes",
        "userknownhostsfile ~/.ssh/known_hosts /home/ann/%h",
        "globalknownhostsfile none",
        "stricthostkeychecking accept-new",
        "serveraliveinterval 7",
        "serveralivecountmax 2",
        "connecttimeout 4",
        "addressfamily inet6",
        "compression yes",
        "ciphers aes128-ctr,aes256-ctr",
        "hostkeyalias builder",
        "proxyjump a@one:22,two",
      ].join("\n"),
    );
    expect(config).toEqual({
      host: "mac.lab",
      port: 2222,
      user: "nix",
      hostKeyAlias: "builder",
      identityFiles: [
        { path: "/home/ann/.ssh/id_ed25519", explicit: false },
        { path: "/keys/mac-nix-%", explicit: true },
      ],
      identitiesOnly: true,
      agentSocket: "/run/agent",
      proxy: { type: "jump", hops: ["a@one:22", "two"] },
      userKnownHosts: ["/home/ann/.ssh/known_hosts", "/home/ann/mac.lab"],
      globalKnownHosts: [],
      hashKnownHosts: false,
      revokedHostKeys: null,
      strict: "acceptNew",
      keepAliveIntervalMs: 7000,
      keepAliveCount: 2,
      connectTimeoutMs: 4000,
      addressFamily: 6,
      compression: true,
      ciphers: ["aes128-ctr", "aes256-ctr"],
      macs: null,
      kex: null,
      hostKeyAlgorithms: null,
    });
  });

  it("leaves defaults open where the user said nothing", () => {
    const config = read("serveraliveinterval 0\nserveralivecountmax 3\nconnecttimeout none\nstricthostkeychecking ask");
    expect(config).toMatchObject({
      host: "mac",
      port: 22,
      user: "ann",
      strict: "yes",
      keepAliveIntervalMs: null,
      keepAliveCount: null,
      connectTimeoutMs: null,
      proxy: { type: "direct" },
      hostKeyAlias: null,
    });
  });

  it.each([
    ["none", null],
    ["SSH_AUTH_SOCK", "/run/agent"],
    ["$OTHER", "/run/other"],
    ["~/agent-%n", "/home/ann/agent-mac"],
  ])("identityagent %s is the socket %s", (value, socket) => {
    expect(read(`identityagent ${value}`).agentSocket).toBe(socket);
  });

  it("expands a ProxyCommand's tokens but not its home directories, which are the shell's", () => {
    expect(read("hostname h.lab\nport 7\nuser u\nproxycommand ~/bin/nc %h %p %r %n %x %%").proxy).toEqual({
      type: "command",
      command: "~/bin/nc h.lab 7 u mac %x %",
    });
    expect(read("proxycommand none\nproxyjump none").proxy).toEqual({ type: "direct" });
  });

  it.each([
    ["%h", "hostname $(id)"],
    ["%h", "hostname -oProxyCommand=id"],
    ["%n", "hostname fine", "a;id"],
    ["%k", "hostkeyalias `id`"],
    ["%r", "user a|id"],
    ["%r", "user -l"],
    ["%%%r", "user $IFS"],
  ])("hands the shell of a ProxyCommand no %s of '%s'", (token, setting, host = "mac") => {
    const found = () => read(`${setting}\nproxycommand nc ${token} %p`, host);
    expect(found).toThrow(expect.objectContaining({ code: "SSH_BAD_HOST" }));
    expect(found).toThrow(`for ${token.slice(-2)}, found '`);
    // What the command does not use may be as it is, and a doubled sign is no token.
    expect(read(`${setting}\nproxycommand nc x %${token}`.replace("%%%%", "%%"), host).proxy.type).toBe("command");
  });

  it("leaves a ProxyCommand what ssh leaves it", () => {
    expect(read("hostname fe80::1%eth0\nuser LAB\\ann:mac/x\nproxycommand nc %h %r").proxy).toMatchObject({
      command: "nc fe80::1%eth0 LAB\\ann:mac/x",
    });
  });

  it("is refused where it makes no sense", () => {
    expect(() => read("port x")).toThrow(
      /cannot connect to 'mac': ssh configuration: port: expected a number, found 'x'/,
    );
    expect(() => read("port 70000")).toThrow(/1 to 65535/);
    expect(() => read("proxyjump -oProxyCommand=evil")).toThrow(/SSH_BAD_HOST|expected \[user@\]host/);
  });

  it("names what is not supported", () => {
    expect(
      unsupportedSettings(
        parseSshDump("proxyusefdpass yes\nknownhostscommand /bin/x\ncertificatefile a\npkcs11provider /p.so"),
      ),
    ).toEqual(["ProxyUseFdpass", "KnownHostsCommand", "CertificateFile", "PKCS11Provider"]);
    const others = "hostbasedauthentication yes\ngssapikeyexchange yes\nbindaddress ::1\nbindinterface lo";
    expect(unsupportedSettings(parseSshDump(others))).toEqual([
      "HostbasedAuthentication",
      "GSSAPIKeyExchange",
      "BindAddress",
      "BindInterface",
    ]);
    expect(unsupportedSettings(parseSshDump("hostbasedauthentication no\ngssapikeyexchange FALSE"))).toEqual([]);
    expect(unsupportedSettings(parseSshDump("proxyusefdpass no\npkcs11provider none"))).toEqual([]);
  });
});

describe("our own reading of the files", () => {
  const files: Record<string, string> = {
    "/main": [
      "# comment",
      "Include more",
      "Host mac !other",
      "  HostName = %h.lab",
      '  IdentityFile "~/my key"',
      "  IdentityFile second",
      "Host mac",
      "  Port 23",
      "Match user nix host *.lab",
      "  Compression yes",
      "Match exec true",
      "  Port 99",
      "Match all",
      "  ServerAliveInterval 9",
    ].join("\n"),
    "/more": "Host *\n Port 22\n Include main\n",
  };
  const source = {
    read: (path: string) => files[path] ?? null,
    expand: (pattern: string) => [`/${pattern}`],
  };
  const ask = (host: string, user: string | null) =>
    readSshConfigFiles(
      ["/main"],
      user === null ? [] : [{ keyword: "User", value: user }],
      { host, user, localUser: "ann" },
      {
        ...source,
        // The included file includes the first again: bounded, not endless.
        read: (path) => (path === "/main" || path === "/more" ? source.read(path) : null),
      },
    );

  it("takes the first value, all identity files, Host and Match blocks that apply", () => {
    files["/more"] = "Host *\n Port 22\n";
    const { keywords, ignored } = ask("mac", "nix");
    expect(Object.fromEntries(keywords)).toEqual({
      user: ["nix"],
      port: ["22"],
      hostname: ["mac.lab"],
      identityfile: ["~/my key", "second"],
      compression: ["yes"],
      serveraliveinterval: ["9"],
    });
    expect(ignored).toEqual(["/main:11: Match exec true"]);
    expect([...ask("other", null).keywords.keys()]).toEqual(["port", "serveraliveinterval"]);
  });

  it("does not follow files in a circle for ever", () => {
    files["/more"] = "Host *\n Include main\n";
    expect(ask("mac", null).ignored.some((text) => text.includes("nested too deeply"))).toBe(true);
  });
});

it("splits words like ssh", () => {
  expect(splitWords('a "b c"  d')).toEqual(["a", "b c", "d"]);
});
