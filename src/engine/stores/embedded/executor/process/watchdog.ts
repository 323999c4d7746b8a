// Kills the builders of a program that has been killed: a separate shell that knows what runs, and acts when its input ends.
import { type ChildProcess, spawn } from "node:child_process";
import { searchPath } from "../../files/flock.ts";
import { asUser } from "../sandbox/drop-rights.ts";

/** What to kill: all processes of a user, or a process group with the children of its leader. */
export type Watched =
  | { readonly type: "user"; readonly uid: number }
  | { readonly type: "group"; readonly leader: number };

const [PROGRAM = "", ...ARGS] = asUser(0).map((word) => word.replace(/=0$/, '="$number"'));

/** Reads `+ KIND NUMBER` and `- KIND NUMBER`; the end of its input is the end of the program, however it came. */
const SCRIPT = `
list=" "
while read -r sign kind number; do
  case $sign in
    +) list="$list$kind:$number " ;;
    -) case $list in *" $kind:$number "*) list="\${list%% $kind:$number *} \${list#* $kind:$number }" ;; esac ;;
  esac
done
for entry in $list; do
  number=\${entry#*:}
  case $entry in
    user:*) ${[PROGRAM, ...ARGS].join(" ")} /bin/sh -c 'kill -KILL -1' ;;
    group:*)
      kill -STOP "$number"
      kill -KILL $(cat /proc/"$number"/task/"$number"/children) -"$number"
      ;;
  esac
done 2>/dev/null
`;

/** One watching shell, started when first needed. */
export class Watchdog {
  #shell: ChildProcess | null = null;

  /** Has something killed if this program dies; returns the function that cancels this. */
  watch(watched: Watched): () => void {
    const words = watched.type === "user" ? `user ${watched.uid}` : `group ${watched.leader}`;
    this.#tell(`+ ${words}\n`);
    return () => this.#tell(`- ${words}\n`);
  }

  #tell(line: string): void {
    this.#shell ??= start();
    this.#shell.stdin?.write(line);
  }
}

function start(): ChildProcess {
  const shell = spawn("/bin/sh", ["-c", SCRIPT], {
    stdio: ["pipe", "ignore", "ignore"],
    env: { PATH: searchPath() },
    cwd: "/",
    // A signal that interrupts this program must not end the shell.
    detached: true,
  });
  // Builds continue without it, and there is nothing to wait for at the end.
  shell.on("error", () => undefined);
  shell.stdin?.on("error", () => undefined);
  shell.unref();
  if (shell.stdin !== null && "unref" in shell.stdin && typeof shell.stdin.unref === "function") shell.stdin.unref();
  return shell;
}
