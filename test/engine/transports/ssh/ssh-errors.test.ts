import { describe, expect, it } from "vitest";
import { EngineError } from "../../../../src/engine/base/errors.ts";
import { chooseAlgorithms } from "../../../../src/engine/transports/ssh/keys/ssh-algorithms.ts";
import { connectFailure, isPermanentFailure } from "../../../../src/engine/transports/ssh/ssh-errors.ts";

const raised = (fields: { code?: string | number; level?: string; message?: string }): Error =>
  Object.assign(new Error(fields.message ?? "x"), fields);

describe("a failed connection", () => {
  it.each([
    [{ code: "ECONNREFUSED" }, "SSH_REFUSED", "connection refused by mac:22", false],
    [{ code: "ENOTFOUND" }, "SSH_HOST_NOT_FOUND", "host name not found: mac:22", false],
    [{ code: "EAI_AGAIN" }, "SSH_HOST_NOT_FOUND", "host name not found: mac:22", false],
    [{ code: "ETIMEDOUT" }, "SSH_TIMEOUT", "no answer from mac:22", false],
    [{ code: "EHOSTUNREACH" }, "SSH_NO_ROUTE", "no route to mac:22", false],
    [{ code: "ECONNRESET" }, "SSH_DROPPED", "mac:22 closed the connection before the login", false],
    [
      { message: "Connection lost before handshake" },
      "SSH_DROPPED",
      "mac:22 closed the connection before the login",
      false,
    ],
    [
      { code: 2, message: "Too many authentication failures" },
      "SSH_KEY_REJECTED",
      "mac:22 rejected every key: Too many authentication failures",
      true,
    ],
    [
      { message: "Handshake failed: no matching key exchange algorithm" },
      "SSH_NO_COMMON_ALGORITHM",
      "no algorithm in common with mac:22: Handshake failed: no matching key exchange algorithm",
      true,
    ],
    [
      { message: "Invalid identification string" },
      "SSH_NOT_SSH",
      "mac:22 does not speak SSH: Invalid identification string",
      true,
    ],
    [{ message: "odd" }, "SSH_FAILED", "mac:22: odd", false],
  ])("%o is %s", (fields, code, words, permanent) => {
    const error = connectFailure("nix@mac", "mac:22", raised(fields));
    expect(error).toMatchObject({ code, family: "transport", message: `cannot connect to 'nix@mac': ${words}` });
    expect(isPermanentFailure(error)).toBe(permanent);
  });

  it("that is explained already stays as it is", () => {
    const error = new EngineError("transport", "SSH_TIMEOUT", "late");
    expect(connectFailure("mac", "mac:22", error)).toBe(error);
    expect(isPermanentFailure(new Error("any"))).toBe(false);
  });
});

describe("the algorithms offered", () => {
  const all = { ciphers: null, macs: null, kex: null, hostKeyAlgorithms: null };

  it("begin with AES-GCM and the host key types that are known", () => {
    const offer = chooseAlgorithms("mac", all, ["ssh-rsa", "ecdsa-sha2-nistp256"], false);
    expect(offer.cipher[0]).toBe("aes128-gcm@openssh.com");
    expect(offer.serverHostKey).toEqual([
      "ecdsa-sha2-nistp256",
      "rsa-sha2-512",
      "rsa-sha2-256",
      "ssh-ed25519",
      "ecdsa-sha2-nistp384",
      "ecdsa-sha2-nistp521",
    ]);
    expect(offer.compress).toEqual(["none"]);
    expect(chooseAlgorithms("mac", all, [], true).compress[0]).toBe("zlib@openssh.com");
  });

  it("leave out what the user forbids, and say so when nothing is left", () => {
    const offer = chooseAlgorithms(
      "mac",
      { ...all, ciphers: ["chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com"] },
      [],
      false,
    );
    expect(offer.cipher).toEqual(["aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"]);
    expect(() => chooseAlgorithms("mac", { ...all, kex: ["sntrup761x25519-sha512"] }, [], false)).toThrow(
      /cannot connect to 'mac': ssh configuration: KexAlgorithms: expected at least one of/,
    );
  });
});
