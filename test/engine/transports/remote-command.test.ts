import { execFileSync, spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { EngineError } from "../../../src/engine/base/errors.ts";
import {
  explainRemoteEnd,
  programNotFound,
  remoteNixCommand,
  remoteNixWords,
  shellQuote,
} from "../../../src/engine/transports/remote-command.ts";

describe("the remote command", () => {
  it.each([
    [{ protocol: "worker", program: [], store: null }, "nix-daemon --stdio"],
    [{ protocol: "serve", program: [], store: null }, "nix-store --serve --write"],
    [{ protocol: "worker", program: [], store: "" }, "nix-daemon --stdio"],
    [{ protocol: "worker", program: [], store: "/my store" }, "nix-daemon --stdio --store '/my store'"],
    [{ protocol: "serve", program: ["sudo", "~/bin/nix-store"], store: null }, "sudo ~/bin/nix-store --serve --write"],
    [{ protocol: "worker", program: ["$(evil)"], store: null }, "'$(evil)' --stdio"],
  ] as const)("%o is %s", (remote, command) => {
    expect(remoteNixCommand(remote)).toBe(command);
  });

  it("in words is what the shell makes of it", () => {
    const remote = { protocol: "worker", program: ["a b", "it's", "*", ""], store: "local?root=/x&y" } as const;
    const seen = execFileSync("sh", ["-c", `printf '%s\\n' ${remoteNixCommand(remote)}`]).toString();
    expect(seen).toBe(`${remoteNixWords(remote).join("\n")}\n`);
  });

  it("quotes any word for a shell", () => {
    for (const word of ["", "'", "a'b", "\\", "!x", "$HOME", "a\nb", "~", "ü"]) {
      expect(execFileSync("sh", ["-c", `printf %s ${shellQuote(word)}`]).toString()).toBe(word);
    }
  });
});

describe("a missing program", () => {
  it.each([
    ["bash: nix-store: command not found\n", "nix-store"],
    ["bash: line 1: nix-daemon: command not found\n", "nix-daemon"],
    ["zsh:1: command not found: nix-store\n", "nix-store"],
    ["sh: 1: nix-daemon: not found\n", "nix-daemon"],
    ["ash: nix-store: not found\n", "nix-store"],
    ["fish: Unknown command: nix-store\n", "nix-store"],
    ["motd\nbash: nix-store: command not found\n", "nix-store"],
    ["error: path not found in store\n", null],
    ["", null],
  ])("%j names %s", (stderr, program) => {
    expect(programNotFound(stderr)).toBe(program);
  });

  it("is told by the shells of this machine", () => {
    for (const shell of ["bash", "dash", "sh"]) {
      const { stderr } = spawnSync(shell, ["-c", "no-nix-here --stdio"]);
      expect(programNotFound(stderr.toString())).toBe("no-nix-here");
    }
  });

  it("is explained as in the manual", () => {
    const error = explainRemoteEnd(
      "mac",
      { type: "closedThere", exitCode: 127, signal: null },
      "bash: nix-store: command not found\n",
      "nix-store --serve --write",
    );
    expect(error).toMatchObject({
      code: "REMOTE_NIX_NOT_FOUND",
      message: "cannot connect to 'mac': nix-store: command not found",
      hint: expect.stringContaining("PATH of non-interactive login shells"),
    });
  });
});

describe("another end of a remote command", () => {
  it.each([
    [
      { type: "closedThere", exitCode: 1, signal: null },
      "This account is currently not available.\n",
      "the remote command exited with status 1: This account is currently not available.",
    ],
    [{ type: "closedThere", exitCode: null, signal: "SIGKILL" }, "", "the remote command was killed by SIGKILL"],
    [{ type: "closedThere", exitCode: null, signal: null }, "", "the other side closed the connection"],
    [{ type: "closedHere" }, "", "the connection was closed here"],
  ] as const)("%o", (reason, stderr, words) => {
    const error = explainRemoteEnd("mac", reason, stderr, "nix-daemon --stdio --store daemon");
    expect(error).toMatchObject({
      message: `cannot connect to 'mac': ${words}`,
      // What was run, not something else that may well work.
      hint: "try it by hand: ssh mac 'nix-daemon --stdio --store daemon'",
    });
  });

  it("that was a failure stays that failure", () => {
    const error = new EngineError("transport", "SSH_LINK_LOST", "lost");
    expect(explainRemoteEnd("mac", { type: "failed", error }, "", "nix-daemon --stdio")).toBe(error);
  });
});
