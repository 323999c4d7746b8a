// Builder machines for end-to-end tests: each an instance of some Nix behind its own sshd, with the names and lines Nix uses for it.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type NixGeneration, nixGenerations } from "./nix-generations.ts";
import { type Account, createInstance, type InstanceOptions, type NixInstance } from "./nix-instance.ts";
import { type Sshd, type SshdOptions, sshConfigText, startSshd } from "./sshd.ts";
import { removeDirectory, temporaryDirectory } from "./temporary-directory.ts";

/** One builder to start; every field has a usual value. */
export interface BuilderSpec {
  /** The host's Nix when absent. */
  readonly generation?: NixGeneration;
  /** b1, b2, … when absent. */
  readonly alias?: string;
  /** The account the client logs in as; for the two ordinary ones a root daemon is started. */
  readonly account?: Account;
  /** "ssh-ng" when absent; "" is the bare alias. */
  readonly scheme?: "ssh-ng" | "ssh" | "";
  readonly instance?: Omit<InstanceOptions, "name">;
  readonly sshd?: Omit<SshdOptions, "instance" | "user">;
}

/** What a machine line says beside the address; Nix's defaults where absent. */
export interface MachineFields {
  readonly systems?: readonly string[];
  readonly maxJobs?: number;
  readonly speed?: number;
  readonly features?: readonly string[];
  readonly mandatory?: readonly string[];
}

/** A running builder. */
export interface Builder {
  readonly alias: string;
  readonly instance: NixInstance;
  readonly sshd: Sshd;
  /** For instance `ssh-ng://b1`. */
  readonly uri: string;
  /** A line of the machines file, with key and host key. */
  readonly machineLine: (fields?: MachineFields) => string;
}

/** Builders and the SSH configuration that leads to them. */
export interface Fleet {
  readonly builders: readonly Builder[];
  /** For `ssh -F`; the aliases b1, b2, … */
  readonly sshConfig: string;
  readonly knownHosts: string;
  /** What a client must have in its environment to know the aliases. */
  readonly env: { readonly NIX_SSHOPTS: string };
  /** A home whose `.ssh/config` is the same configuration, for clients that honour only that. */
  readonly home: string;
  /** All machine lines, with the same fields, ready for `--builders` or `@file`. */
  readonly machines: (fields?: MachineFields) => string;
  readonly stop: () => Promise<void>;
  readonly [Symbol.asyncDispose]: () => Promise<void>;
}

/** Nix's name of this machine's system. */
export const hostSystem = `${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux`;

/** Starts that many builders of the host's Nix, or the specified ones; about half a second each. */
export async function startBuilders(wanted: number | readonly BuilderSpec[]): Promise<Fleet> {
  const specs = typeof wanted === "number" ? Array.from({ length: wanted }, (): BuilderSpec => ({})) : wanted;
  const directory = temporaryDirectory("fleet");
  const builders: Builder[] = [];
  const stop = async () => {
    await Promise.all(
      builders.map(async ({ sshd, instance }) => {
        await sshd.stop();
        await instance.remove();
      }),
    );
    removeDirectory(directory);
  };
  try {
    for (const [index, spec] of specs.entries()) builders.push(await startBuilder(spec, spec.alias ?? `b${index + 1}`));
  } catch (error) {
    await stop();
    throw error;
  }

  const sshConfig = join(directory, "ssh_config");
  const knownHosts = join(directory, "known_hosts");
  const text = sshConfigText(builders, knownHosts);
  writeFileSync(sshConfig, text.config);
  writeFileSync(knownHosts, text.knownHosts);
  const home = join(directory, "home");
  mkdirSync(join(home, ".ssh"), { recursive: true, mode: 0o700 });
  writeFileSync(join(home, ".ssh/config"), text.config, { mode: 0o600 });
  return {
    builders,
    sshConfig,
    knownHosts,
    env: { NIX_SSHOPTS: `-F ${sshConfig}` },
    home,
    machines: (fields) => builders.map((builder) => `${builder.machineLine(fields)}\n`).join(""),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

async function startBuilder(spec: BuilderSpec, alias: string): Promise<Builder> {
  const generation = spec.generation ?? (await nixGenerations())[0];
  if (generation === undefined) throw new Error("no Nix can be run here");
  const account = spec.account ?? "root";
  const instance = await createInstance(generation, { ...spec.instance, name: alias });
  try {
    if (account !== "root") await instance.startDaemon();
    const sshd = await startSshd({ ...spec.sshd, instance, user: account });
    const scheme = spec.scheme ?? "ssh-ng";
    const uri = scheme === "" ? alias : `${scheme}://${alias}`;
    return { alias, instance, sshd, uri, machineLine: (fields) => machineLine(uri, sshd, fields) };
  } catch (error) {
    await instance.remove();
    throw error;
  }
}

function machineLine(uri: string, sshd: Sshd, fields: MachineFields = {}): string {
  const list = (values: readonly string[] | undefined) =>
    values === undefined || values.length === 0 ? "-" : values.join(",");
  return [
    uri,
    list(fields.systems ?? [hostSystem]),
    sshd.userKey,
    fields.maxJobs ?? 1,
    fields.speed ?? 1,
    list(fields.features),
    list(fields.mandatory),
    sshd.base64HostKey,
  ].join(" ");
}
