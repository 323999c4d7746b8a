// How a serve connection begins: magic numbers and versions, on both sides. Nothing else is exchanged, and no error in band.
import { EngineError } from "../../base/errors.ts";
import type { ByteReader } from "../../formats/wire/reader.ts";
import { ByteWriter } from "../../formats/wire/writer.ts";
import { expectMagic } from "../greeting.ts";
import type { Outlet } from "../outlet.ts";
import type { Pipeline } from "../pipeline.ts";
import {
  decodeVersion,
  encodeVersion,
  negotiate,
  SERVE_MAJOR,
  SERVE_NEWEST_MINOR,
  SERVE_OLDEST_MINOR,
} from "../version.ts";

const CLIENT_MAGIC = 0x390c9debn;
const SERVER_MAGIC = 0x5452eecbn;

/**
 * The client's side; returns the agreed minor.
 * @throws EngineError `PROTOCOL_BAD_GREETING`, `PROTOCOL_VERSION_UNSUPPORTED`, `PROTOCOL_CONNECTION_LOST`.
 */
export async function greetServer(pipeline: Pipeline): Promise<number> {
  const mine = { major: SERVE_MAJOR, minor: SERVE_NEWEST_MINOR };
  pipeline.outlet.push(new ByteWriter(16).u64(CLIENT_MAGIC).u64(encodeVersion(mine)).finish());
  await expectMagic(pipeline, SERVER_MAGIC, "nix-store --serve --write");
  return negotiate(mine, decodeVersion(await pipeline.reader.readU64()), SERVE_OLDEST_MINOR, pipeline.peer).minor;
}

/** The server's side; returns the agreed minor. @throws EngineError `PROTOCOL_BAD_GREETING` or `PROTOCOL_VERSION_UNSUPPORTED`. */
export async function greetServeClient(
  reader: ByteReader,
  outlet: Outlet,
  maxMinor: number,
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
  const mine = { major: SERVE_MAJOR, minor: Math.min(maxMinor, SERVE_NEWEST_MINOR) };
  outlet.push(new ByteWriter(16).u64(SERVER_MAGIC).u64(encodeVersion(mine)).finish());
  return negotiate(mine, decodeVersion(await reader.readU64()), SERVE_OLDEST_MINOR, peer).minor;
}
