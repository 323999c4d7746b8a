// Two network namespaces joined by one cable that can be pulled, for tests of a link that goes down without a word.
import { existsSync } from "node:fs";
import { collect, outputOf } from "./processes.ts";

/** One end of the cable. */
export interface LinkEnd {
  /** Path for `nsenter --net=`, {@link InstanceRunOptions.networkNamespace} and sshd's option of the same name. */
  readonly path: string;
  readonly address: string;
}

/** Two namespaces and their cable. */
export interface Link {
  readonly client: LinkEnd;
  readonly server: LinkEnd;
  /** Pulls the cable: packets vanish, no connection is closed. */
  readonly down: () => Promise<void>;
  readonly up: () => Promise<void>;
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

let made = 0;

/** Makes two namespaces with a cable between them; nothing of it touches the machine's own network. */
export async function createLink(): Promise<Link> {
  made += 1;
  const name = `tsbt-${process.pid}-${made}`;
  // From the block reserved for documentation; inside the namespaces only.
  const addresses = { client: "192.0.2.1", server: "192.0.2.2" } as const;
  const namespace = (end: "client" | "server") => `${name}-${end}`;
  const environment = { env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" } };
  const ip = (...args: string[]) => outputOf("ip", args, environment);
  const inside = (end: "client" | "server", ...args: string[]) => ip("-n", namespace(end), ...args);
  const remove = async () => {
    // The cable goes with its namespaces; a namespace that is not there is what is wanted.
    for (const end of ["client", "server"] as const)
      await collect("ip", ["netns", "delete", namespace(end)], environment);
  };
  try {
    await ip("netns", "add", namespace("client"));
    await ip("netns", "add", namespace("server"));
    await inside(
      "client",
      "link",
      "add",
      "cable",
      "type",
      "veth",
      "peer",
      "name",
      "cable",
      "netns",
      namespace("server"),
    );
    for (const end of ["client", "server"] as const) {
      await inside(end, "address", "add", `${addresses[end]}/30`, "dev", "cable");
      await inside(end, "link", "set", "lo", "up");
      await inside(end, "link", "set", "cable", "up");
    }
  } catch (error) {
    await remove();
    throw error;
  }
  const end = (which: "client" | "server"): LinkEnd => ({
    path: `/run/netns/${namespace(which)}`,
    address: addresses[which],
  });
  return {
    client: end("client"),
    server: end("server"),
    down: async () => {
      await inside("server", "link", "set", "cable", "down");
    },
    up: async () => {
      await inside("server", "link", "set", "cable", "up");
    },
    remove,
    [Symbol.asyncDispose]: remove,
  };
}
