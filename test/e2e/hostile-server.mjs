// A builder that lies: runs the real Nix server it was asked for, and spoils what that answers.
//
// Used as sshd's ForceCommand: `node hostile-server.mjs MODE`; the client's request is in SSH_ORIGINAL_COMMAND. Requests that are not for the
// worker protocol run as they are.
import { spawn } from "node:child_process";

const mode = process.argv[2] ?? "";
const command = process.env.SSH_ORIGINAL_COMMAND ?? "";
const isWorker = command.includes("--stdio");

/** A NAR string token: length, bytes, padding to eight. */
function token(text) {
  const bytes = Buffer.from(text);
  const padded = Buffer.alloc(8 + Math.ceil(bytes.length / 8) * 8);
  padded.writeBigUInt64LE(BigInt(bytes.length));
  bytes.copy(padded, 8);
  return padded;
}

function replaced(bytes, from, to) {
  const at = bytes.indexOf(from);
  if (at < 0) return bytes;
  const copy = Buffer.from(bytes);
  to.copy(copy, at);
  return copy;
}

/** Spoils one burst of output, all of which was waiting at once; null ends the connection. Lengths stay as they are. */
let sent = 0;
function spoiled(bytes) {
  switch (mode) {
    case "parent":
      return replaced(bytes, token("zz"), token(".."));
    case "unsorted":
      return replaced(bytes, token("zz"), token("aa"));
    case "duplicate":
      return replaced(bytes, token("zz"), token("yy"));
    case "contents":
      return replaced(bytes, Buffer.from("honest words"), Buffer.from("forged words"));
    case "oversized": {
      // The first frame after the handshake claims a text of a terabyte.
      if (sent < 64) return bytes;
      const frame = Buffer.alloc(16);
      frame.writeBigUInt64LE(0x6f6c6d67n);
      frame.writeBigUInt64LE(1n << 40n, 8);
      return frame;
    }
    case "truncated":
      return sent < 200 ? bytes : null;
    default:
      return bytes;
  }
}

if (mode === "magic" && isWorker) {
  process.stdout.write(Buffer.alloc(64, "x"));
  process.stdin.resume();
} else {
  const child = spawn("/bin/sh", ["-c", command], { stdio: ["pipe", "pipe", "inherit"] });
  process.stdin.pipe(child.stdin);
  child.stdin.on("error", () => undefined);
  let waiting = [];
  let timer = null;
  const flush = () => {
    timer = null;
    const bytes = Buffer.concat(waiting);
    waiting = [];
    const out = isWorker ? spoiled(bytes) : bytes;
    if (out === null) {
      child.kill("SIGKILL");
      process.exit(0);
    }
    sent += out.length;
    process.stdout.write(out);
  };
  child.stdout.on("data", (chunk) => {
    waiting.push(chunk);
    timer ??= setTimeout(flush, 5);
  });
  child.on("close", (status) => {
    if (timer !== null) {
      clearTimeout(timer);
      flush();
    }
    process.exit(status ?? 1);
  });
}
