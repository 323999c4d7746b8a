// The collector's socket while it holds the lock: other processes name the paths they need, and get an answer once those are safe.

import { rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import { makeDirectories } from "../../../base/directories.ts";
import { hashPartOf, isStorePath } from "../../../formats/store-path.ts";

/** Longest line accepted from a client: a store path with room to spare. */
const MAX_LINE = 1024;

/** The counterpart of `TempRoots` while this process deletes (Nix: gc.cc, the roots server). */
export class CollectorSocket {
  readonly #server: Server;
  readonly #clients = new Set<Socket>();
  /** Hash parts, because a root also keeps paths named after it: `.lock`, `.check`, `.chroot`. */
  readonly #roots = new Set<string>();
  #pending: { readonly hashPart: string; readonly waiting: (() => void)[] } | null = null;

  private constructor() {
    this.#server = createServer((client) => this.#serve(client));
  }

  /** Listens at `path`, replacing the socket of a dead collector; the caller holds the collector's lock. */
  static async open(path: string): Promise<CollectorSocket> {
    const socket = new CollectorSocket();
    makeDirectories(dirname(path));
    rmSync(path, { force: true });
    await new Promise<void>((resolve, reject) => {
      socket.#server.once("error", reject);
      socket.#server.listen({ path, readableAll: true, writableAll: true }, resolve);
    });
    return socket;
  }

  /** Adds a root found by other means. */
  addRoot(hashPart: string): void {
    this.#roots.add(hashPart);
  }

  hasRoot(hashPart: string): boolean {
    return this.#roots.has(hashPart);
  }

  /** Deletes one path unless it has become a root; clients that name it meanwhile wait. False when it is a root. */
  async whilePending(hashPart: string, deletion: () => Promise<void>): Promise<boolean> {
    if (this.#roots.has(hashPart)) return false;
    const waiting: (() => void)[] = [];
    this.#pending = { hashPart, waiting };
    try {
      await deletion();
    } finally {
      this.#pending = null;
      for (const answer of waiting) answer();
    }
    return true;
  }

  close(): void {
    this.#server.close();
    for (const client of this.#clients) client.destroy();
  }

  #serve(client: Socket): void {
    this.#clients.add(client);
    let rest = "";
    client.setEncoding("latin1");
    client.on("close", () => this.#clients.delete(client));
    // A client that disconnects needs no answer.
    client.on("error", () => undefined);
    client.on("data", (chunk: string) => {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop()!;
      if (rest.length > MAX_LINE) client.destroy();
      for (const line of lines) this.#take(line, client);
    });
  }

  #take(line: string, client: Socket): void {
    const answer = (): void => {
      if (!client.destroyed) client.write("1");
    };
    if (!isStorePath(line)) {
      answer();
      return;
    }
    const hashPart = hashPartOf(line);
    this.#roots.add(hashPart);
    if (this.#pending?.hashPart === hashPart) this.#pending.waiting.push(answer);
    else answer();
  }
}
