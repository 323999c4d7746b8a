// ProxyCommand of ssh_config(5): a shell command whose standard input and output lead to the server, as one stream.
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { Duplex } from "node:stream";
import type { Clock } from "../../base/clock.ts";

const STDERR_TAIL = 1024;
/** Time between closing the command's pipes, on which most commands exit with a last message, and SIGTERM. */
const STOP_GRACE_MS = 300;

/** The running command as a stream. Destroying it closes the pipes and asks the command's process group to end. */
export class ProxyCommandStream extends Duplex {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #clock: Clock;
  /** Resolves when the command has exited and everything it printed has been read. */
  readonly ended: Promise<void>;
  #stderrTail = "";

  /** Runs `command` as `sh -c "exec …"`, as ssh does. */
  constructor(command: string, environment: Readonly<Record<string, string | undefined>>, clock: Clock) {
    super();
    this.#clock = clock;
    this.#child = spawn("/bin/sh", ["-c", `exec ${command}`], {
      detached: true,
      env: { ...environment },
      stdio: ["pipe", "pipe", "pipe"],
    });
    const { stdin, stdout, stderr } = this.#child;
    stdout.on("data", (chunk: Buffer) => {
      if (!this.push(chunk)) stdout.pause();
    });
    stdout.on("end", () => this.push(null));
    stdin.on("error", (error) => this.destroy(error));
    stderr.on("data", (chunk: Buffer) => {
      this.#stderrTail = (this.#stderrTail + chunk.toString("utf8")).slice(-STDERR_TAIL);
    });
    this.ended = new Promise((resolve) => {
      this.#child.once("close", () => resolve());
    });
    this.#child.on("error", (error) => this.destroy(error));
  }

  /** The last thing the command printed on standard error, one line. */
  get lastWords(): string {
    return this.#stderrTail.trim().split("\n").at(-1)?.trim() ?? "";
  }

  override _read(): void {
    this.#child.stdout.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#child.stdin.write(chunk, done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#child.stdin.end(done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const { pid, exitCode, signalCode } = this.#child;
    this.#child.stdin.destroy();
    this.#child.stdout.destroy();
    if (pid !== undefined && exitCode === null && signalCode === null) {
      const cancel = this.#clock.after(STOP_GRACE_MS, () => {
        try {
          process.kill(-pid, "SIGTERM");
        } catch {
          // Already gone.
        }
      });
      this.#child.once("exit", cancel);
    }
    done(error);
  }
}
