// Network namespaces joined by cables that can be pulled, for tests of links that go down without a word.
import { existsSync } from "node:fs";
import { collect, outputOf } from "./processes.ts";

/** One end of the cable. */
export interface LinkEnd {
  /** Path for `nsenter --net=`, {@link InstanceRunOptions.networkNamespace} and sshd's option of the same name. */
  readonly path: string;
  readonly address: string;
}

/** One cable of a {@link Network}. */
export interface Cable {
  readonly server: LinkEnd;
  /** Pulls the cable: packets vanish, no connection is closed. */
  readonly down: () => Promise<void>;
  readonly up: () => Promise<void>;
}

/** One namespace with a cable to each of some others. */
export interface Network {
  readonly client: Pick<LinkEnd, "path">;
  readonly cables: readonly Cable[];
  /** Deletes all namespaces. May be called twice. */
  readonly remove: () => Promise<void>;
  readonly [Symbol.asyncDispose]: () => Promise<void>;
}

/** Two namespaces and their cable. */
export interface Link extends Cable {
  readonly client: LinkEnd;
  /** Deletes both namespaces. May be called twice. */
  readonly remove: () => Promise<void>;
  readonly [Symbol.asyncDispose]: () => Promise<void>;
}

/** Whether namespaces can be made here: Linux, root, iproute2. */
export function canMakeLinks(): boolean {
  return (
    process.platform === "linux" && process.getuid?.() === 0 && (existsSync("/usr/sbin/ip") || existsSync("/sbin/ip"))
  );
}

const environment = { env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" } };
const ip = (...args: string[]) => outputOf("ip", args, environment);
const pathOf = (namespace: string) => `/run/netns/${namespace}`;
// From the block reserved for documentation; inside the namespaces only. Four addresses a cable.
const addressOf = (cable: number, end: "client" | "server") => `192.0.2.${4 * cable + (end === "client" ? 1 : 2)}`;

let made = 0;

/** Makes a namespace with that many cables (up to 60), each to another one; nothing of it touches the machine's own network. */
export async function createNetwork(count: number): Promise<Network> {
  made += 1;
  const name = `tsbt-${process.pid}-${made}`;
  const client = `${name}-client`;
  const servers = Array.from({ length: count }, (_, index) =>
    count === 1 ? `${name}-server` : `${name}-server${index}`,
  );
  const remove = async () => {
    // The cables go with their namespaces; a namespace that is not there is what is wanted.
    for (const namespace of [client, ...servers]) await collect("ip", ["netns", "delete", namespace], environment);
  };
  try {
    for (const namespace of [client, ...servers]) {
      await ip("netns", "add", namespace);
      await ip("-n", namespace, "link", "set", "lo", "up");
    }
    for (const [index, server] of servers.entries()) {
      const near = `cable${index}`;
      const ends = ["name", near, "type", "veth", "peer", "name", "cable", "netns", server];
      await ip("-n", client, "link", "add", ...ends);
      await ip("-n", client, "address", "add", `${addressOf(index, "client")}/30`, "dev", near);
      await ip("-n", client, "link", "set", near, "up");
      await ip("-n", server, "address", "add", `${addressOf(index, "server")}/30`, "dev", "cable");
      await ip("-n", server, "link", "set", "cable", "up");
    }
  } catch (error) {
    await remove();
    throw error;
  }
  const cable = (server: string, index: number): Cable => ({
    server: { path: pathOf(server), address: addressOf(index, "server") },
    down: async () => {
      await ip("-n", server, "link", "set", "cable", "down");
    },
    up: async () => {
      await ip("-n", server, "link", "set", "cable", "up");
    },
  });
  return {
    client: { path: pathOf(client) },
    cables: servers.map(cable),
    remove,
    [Symbol.asyncDispose]: remove,
  };
}

/** Makes two namespaces with a cable between them. */
export async function createLink(): Promise<Link> {
  const { client, cables, remove } = await createNetwork(1);
  const [cable] = cables;
  if (cable === undefined) throw new Error("a network of one cable has none");
  return {
    ...cable,
    client: { path: client.path, address: addressOf(0, "client") },
    remove,
    [Symbol.asyncDispose]: remove,
  };
}
