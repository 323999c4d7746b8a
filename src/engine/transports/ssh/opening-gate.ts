// Limits concurrent logins, per host and in all: sshd drops logins at random beyond its MaxStartups.

interface Waiting {
  readonly host: string;
  readonly resolve: (release: () => void) => void;
}

/** A gate that admits a limited number at a time; first come, first served among those whose host has room. */
export class OpeningGate {
  readonly #perHost: number;
  readonly #atOnce: number;
  readonly #inside = new Map<string, number>();
  #total = 0;
  #waiting: Waiting[] = [];

  constructor(perHost: number, atOnce: number) {
    this.#perHost = perHost;
    this.#atOnce = atOnce;
  }

  /** Waits for a place; resolves to a function that releases it and must be called once. Rejects with the signal's reason. */
  async enter(host: string, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    return await new Promise<() => void>((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiting = this.#waiting.filter((other) => other !== waiting);
        reject(signal.reason);
      };
      const waiting: Waiting = {
        host,
        resolve: (release) => {
          signal.removeEventListener("abort", onAbort);
          resolve(release);
        },
      };
      signal.addEventListener("abort", onAbort, { once: true });
      this.#waiting.push(waiting);
      this.#admit();
    });
  }

  #admit(): void {
    for (let i = 0; i < this.#waiting.length && this.#total < this.#atOnce; ) {
      const next = this.#waiting[i];
      if (next === undefined) return;
      const inside = this.#inside.get(next.host) ?? 0;
      if (inside >= this.#perHost) {
        i++;
        continue;
      }
      this.#waiting.splice(i, 1);
      this.#inside.set(next.host, inside + 1);
      this.#total++;
      let left = false;
      next.resolve(() => {
        if (left) return;
        left = true;
        this.#leave(next.host);
      });
    }
  }

  #leave(host: string): void {
    const inside = (this.#inside.get(host) ?? 1) - 1;
    if (inside === 0) this.#inside.delete(host);
    else this.#inside.set(host, inside);
    this.#total--;
    this.#admit();
  }
}
