// The pipe for a builder's log: one named pipe for standard output and error, so that their order is kept and
// `/dev/stderr` can be opened, which Node's sockets do not allow.
import { spawn } from "node:child_process";
import { closeSync, constants, openSync } from "node:fs";
import { Socket } from "node:net";
import { EngineError, messageOf } from "../../../../base/errors.ts";
import { searchPath } from "../../files/flock.ts";

/** How many pipes one run of `mkfifo` makes. */
const BATCH = 8;

/** Both ends of a pipe. */
export interface LogPipe {
  readonly input: Socket;
  /** The pipe itself; everyone may write to it. */
  readonly path: string;
  /** For the child; close it here once the child has it, else the log never ends. */
  readonly descriptor: number;
  /** Releases the pipe for reuse; only when its log has ended, since a straggler would write into the next build's. */
  reuse(): void;
}

/** Makes pipes and reuses them. */
export class LogPipes {
  readonly #fresh: (kind: string) => string;
  readonly #free: string[] = [];
  #making: Promise<void> | null = null;

  /** `fresh` returns unused names in a private directory. */
  constructor(fresh: (kind: string) => string) {
    this.#fresh = fresh;
  }

  /** Opens a pipe without other writers. Throws `EXECUTOR_NO_PIPE`. */
  async open(): Promise<LogPipe> {
    let path = this.#free.pop();
    while (path === undefined) {
      this.#making ??= this.#make().finally(() => {
        this.#making = null;
      });
      await this.#making;
      path = this.#free.pop();
    }
    const own = path;
    // Opened for reading and writing first, because opening one end alone would wait for the other.
    const both = openSync(own, constants.O_RDWR | constants.O_NONBLOCK);
    const reading = openSync(own, constants.O_RDONLY | constants.O_NONBLOCK);
    const descriptor = openSync(own, constants.O_WRONLY);
    closeSync(both);
    const input = new Socket({ fd: reading, readable: true, writable: false });
    return { input, path: own, descriptor, reuse: () => void this.#free.push(own) };
  }

  #make(): Promise<void> {
    const paths = Array.from({ length: BATCH }, () => this.#fresh("log"));
    return new Promise((resolve, reject) => {
      const child = spawn("mkfifo", ["-m", "622", ...paths], { stdio: "ignore", env: { PATH: searchPath() } });
      const fail = (reason: string, cause?: unknown): void => {
        reject(
          new EngineError("build", "EXECUTOR_NO_PIPE", `cannot make a pipe for build logs: ${reason}`, {
            hint: "The program 'mkfifo' (coreutils or busybox) must be there and the store's file system must allow pipes.",
            cause,
          }),
        );
      };
      child.once("error", (cause) => fail(messageOf(cause), cause));
      child.once("exit", (code) => {
        if (code !== 0) return fail(`'mkfifo' ended with status ${code}`);
        this.#free.push(...paths);
        resolve();
      });
    });
  }
}
