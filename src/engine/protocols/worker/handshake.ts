// How a worker connection begins: magic numbers, versions, features, and what the daemon reports about itself, on both sides.
import { EngineError } from "../../base/errors.ts";
import type { ByteReader } from "../../formats/wire/reader.ts";
import { ByteWriter } from "../../formats/wire/writer.ts";
import { expectMagic } from "../greeting.ts";
import { MAX_FIELDS, MAX_NAME_BYTES } from "../limits.ts";
import { STDERR } from "../log-frame.ts";
import type { Outlet } from "../outlet.ts";
import type { Pipeline } from "../pipeline.ts";
import { readNames } from "../values/paths.ts";
import {
  decodeVersion,
  encodeVersion,
  negotiate,
  type ProtocolVersion,
  WORKER_MAJOR,
  WORKER_NEWEST_MINOR,
  WORKER_OLDEST_MINOR,
} from "../version.ts";

const CLIENT_MAGIC = 0x6e697863n;
const SERVER_MAGIC = 0x6478696fn;

/** What both sides know about each other after the handshake. */
export interface WorkerAgreement {
  readonly minor: number;
  /** Features both sides named; this program offers none. */
  readonly features: readonly string[];
  /** The daemon's Nix version, null before 1.33. */
  readonly nixVersion: string | null;
  /** Whether the daemon trusts this client; null before 1.35 or when it does not know. */
  readonly trusted: boolean | null;
}

/**
 * The client's side, up to (not including) the log that ends the handshake. Offers 1.`minor` without features.
 * @throws EngineError `PROTOCOL_BAD_GREETING`, `PROTOCOL_VERSION_UNSUPPORTED`, `PROTOCOL_CONNECTION_LOST`.
 */
export async function greetDaemon(pipeline: Pipeline, offeredMinor: number): Promise<WorkerAgreement> {
  const { reader, outlet, peer } = pipeline;
  const mine: ProtocolVersion = { major: WORKER_MAJOR, minor: offeredMinor };
  outlet.push(new ByteWriter(16).u64(CLIENT_MAGIC).u64(encodeVersion(mine)).finish());
  await expectMagic(pipeline, SERVER_MAGIC, "nix-daemon --stdio");
  const { minor } = negotiate(mine, decodeVersion(await reader.readU64()), WORKER_OLDEST_MINOR, peer);
  const writer = new ByteWriter(32);
  if (minor >= 38) writer.strings([]);
  // CPU affinity and reserved space: obsolete, but still required.
  outlet.push(writer.u64(0).u64(0).finish());
  if (minor >= 38) await readNames(reader, "features", MAX_FIELDS);
  const nixVersion = minor >= 33 ? await reader.readString(MAX_NAME_BYTES, "the daemon's version") : null;
  const trust = minor >= 35 ? await reader.readU64() : 0n;
  return { minor, features: [], nixVersion, trusted: trust === 1n ? true : trust === 2n ? false : null };
}

/** What a server reports about itself. */
export interface WorkerGreeting {
  readonly nixVersion: string;
  readonly trusted: boolean;
  /** Newest minor to agree to, 38 when nothing is held back. */
  readonly maxMinor: number;
}

/**
 * The server's side, up to and including the empty log that ends the handshake. Returns the agreed minor.
 * @throws EngineError `PROTOCOL_BAD_GREETING` or `PROTOCOL_VERSION_UNSUPPORTED`; neither can be reported in band.
 */
export async function greetClient(
  reader: ByteReader,
  outlet: Outlet,
  greeting: WorkerGreeting,
  peer: string,
): Promise<number> {
  const magic = await reader.readU64();
  if (magic !== CLIENT_MAGIC) {
    throw new EngineError(
      "protocol",
      "PROTOCOL_BAD_GREETING",
      `${peer}: expected a Nix client, found 0x${magic.toString(16)}`,
    );
  }
  const mine = { major: WORKER_MAJOR, minor: Math.min(greeting.maxMinor, WORKER_NEWEST_MINOR) };
  outlet.push(new ByteWriter(16).u64(SERVER_MAGIC).u64(encodeVersion(mine)).finish());
  const { minor } = negotiate(mine, decodeVersion(await reader.readU64()), WORKER_OLDEST_MINOR, peer);
  const writer = new ByteWriter(64);
  if (minor >= 38) {
    await readNames(reader, "features", MAX_FIELDS);
    outlet.push(writer.strings([]).finish());
  }
  // CPU affinity, followed by the CPU's number if it is set, and reserved space.
  if ((await reader.readU64()) !== 0n) await reader.readU64();
  await reader.readU64();
  if (minor >= 33) writer.string(greeting.nixVersion);
  if (minor >= 35) writer.u64(greeting.trusted ? 1 : 2);
  outlet.push(writer.u64(STDERR.last).finish());
  return minor;
}
