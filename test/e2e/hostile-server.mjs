// A builder that lies: runs the real Nix server it was asked for, and spoils what that answers.
//
// Used as sshd's ForceCommand: `node hostile-server.mjs MODE`; the client's request is in SSH_ORIGINAL_COMMAND. Requests that are not for the
// worker protocol run as they are. The mode `garbage:FILE` is honest until FILE is there; from then on every answer is random bytes.
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";

const [mode = "", trigger = ""] = (process.argv[2] ?? "").split(":");
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

/** Where the handshake in these bytes ends: behind its STDERR_LAST, which stands at a multiple of eight; -1 before that. */
function handshakeEnd(bytes) {
  for (let at = 16; at + 8 <= bytes.length; at += 8) if (bytes.readBigUInt64LE(at) === 0x616c7473n) return at + 8;
  return -1;
}

/** A frame that claims a text of a terabyte. */
function oversizedFrame() {
  const frame = Buffer.alloc(16);
  frame.writeBigUInt64LE(0x6f6c6d67n);
  frame.writeBigUInt64LE(1n << 40n, 8);
  return frame;
}

/** Spoils one burst of output, all of which was waiting at once. Lengths stay as they are, but for what is cut off. */
let greeting = Buffer.alloc(0);
let isBad = false;
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
      // However the answers fall into bursts: the first frame behind the handshake is bad, and all that follow.
      if (isBad) return oversizedFrame();
      greeting = Buffer.concat([greeting, bytes]);
      const end = handshakeEnd(greeting);
      if (end < 0) return bytes;
      isBad = true;
      const rest = greeting.length - end;
      return rest === 0 ? bytes : Buffer.concat([bytes.subarray(0, bytes.length - rest), oversizedFrame()]);
    }
    case "garbage":
      return existsSync(trigger) ? randomBytes(1024) : bytes;
    case "truncated": {
      // However the answers fall into bursts: it ends in the middle of the result.
      const at = bytes.indexOf("nix-archive-1");
      if (at < 0) return bytes;
      isBad = true;
      return bytes.subarray(0, at + 40);
    }
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
    process.stdout.write(out, () => {
      if (mode !== "truncated" || !isBad) return;
      child.kill("SIGKILL");
      process.exit(0);
    });
  };
  child.stdout.on("data", (chunk) => {
    waiting.push(chunk);
    timer ??= setTimeout(flush, 5);
  });
  // It babbles by itself, not only when it is asked.
  if (mode === "garbage" && isWorker) {
    setInterval(() => existsSync(trigger) && process.stdout.write(randomBytes(1024)), 100).unref();
  }
  child.on("close", (status) => {
    if (timer !== null) {
      clearTimeout(timer);
      flush();
    }
    process.exit(status ?? 1);
  });
}
