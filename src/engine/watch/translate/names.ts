// What paths and stores of a log are called on the board.

export function isHere(uri: string): boolean {
  return uri === "" || uri === "local" || uri === "daemon" || uri.startsWith("local?") || uri.startsWith("unix://");
}

export function nameOfMachine(uri: string): string {
  return uri.replace(/^ssh(?:-ng)?:\/\//, "").replace(/\?.*$/, "");
}

/** `/nix/store/…-hello-2.12.drv` → `hello-2.12`. */
export function nameOf(path: string): string {
  return path
    .slice(path.lastIndexOf("/") + 1)
    .replace(/^[0-9a-z]{32}-/, "")
    .replace(/\.drv$/, "");
}
