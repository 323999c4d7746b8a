// A real S3 server that checks request signatures, OpenStack Swift with its s3api: set up only where asked for, and always in CI.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { AwsClient } from "aws4fetch";
import { collect, ended, killAtExit, until } from "./processes.ts";
import { freePort } from "./sshd.ts";
import { removeDirectory, temporaryDirectory } from "./temporary-directory.ts";

/** A running server. Its keys may do everything, nobody else may do anything but read from a public bucket. */
export interface S3Server {
  readonly port: number;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** What a client needs in its environment. */
  readonly env: { readonly AWS_ACCESS_KEY_ID: string; readonly AWS_SECRET_ACCESS_KEY: string };
  /** Makes a bucket; a public one may be read without a signature, at {@link S3Server.publicEndpoint}. */
  readonly createBucket: (name: string, options?: { readonly isPublic?: boolean }) => Promise<void>;
  /** Keys of a bucket, at most 1000. */
  readonly keys: (bucket: string) => Promise<string[]>;
  /** `host:port/path` for clients without a signature: Swift knows whose bucket it is by the path. */
  readonly publicEndpoint: string;
  readonly stop: () => Promise<void>;
  readonly [Symbol.asyncDispose]: () => Promise<void>;
}

const support = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
/** Swift's names for who we are: account and user. */
const accessKeyId = "test:tester";
const secretAccessKey = "testing/the+real=one";
const region = "us-east-1";

/** Whether tests against it are asked for: `TSBUILD_TOP_TEST_S3=1`, or CI. Says loudly when they are not. */
export function isS3ServerWanted(): boolean {
  const { CI = "", TSBUILD_TOP_TEST_S3 = "" } = process.env;
  const isOn = (text: string): boolean => text !== "" && text !== "0" && text !== "false";
  if (isOn(CI) || isOn(TSBUILD_TOP_TEST_S3)) return true;
  process.stderr.write(
    "SKIPPED: a real S3 server (unpacks 300 MB once, starts in seconds): set TSBUILD_TOP_TEST_S3=1; CI always has it\n",
  );
  return false;
}

/** Unpacks the server where needed (half a minute) and starts one on loopback. @throws Error with what the script said */
export async function startS3Server(): Promise<S3Server> {
  const installed = await collect("bash", [support("install-s3-server.sh")], { timeoutMs: 240_000 });
  const source = installed.stdout.split("\t")[0] ?? "";
  if (installed.status !== 0) throw new Error(`no S3 server: ${installed.stderr}`);
  const directory = temporaryDirectory("s3");
  for (const folder of ["etc", "srv"]) mkdirSync(join(directory, folder));
  const [account, container, object, proxy, memcache] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
  ];
  for (const [file, text] of Object.entries(configuration({ account, container, object, proxy, memcache }))) {
    writeFileSync(join(directory, "etc", file), text);
  }
  const child = spawn(
    "unshare",
    [
      ...["--mount", "--pid", "--fork", "--kill-child", "sh", support("s3-server-root.sh")],
      ...[source, directory, memcache, support("s3-server.py"), account, container, object].map(String),
    ],
    { stdio: ["pipe", "pipe", "pipe"] },
  );
  const takeBack = killAtExit(() => (child.pid === undefined ? [] : [child.pid]));
  const stop = async (): Promise<void> => {
    takeBack();
    child.kill("SIGKILL");
    await ended(child);
    removeDirectory(directory);
  };
  const client = new AwsClient({ accessKeyId, secretAccessKey, service: "s3", region, retries: 0 });
  const ask = async (method: string, path: string, headers: Readonly<Record<string, string>> = {}): Promise<string> => {
    const answer = await client.fetch(`http://127.0.0.1:${proxy}${path}`, { method, headers });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text;
  };
  try {
    // An object in a bucket of its own: every one of the servers has done something by then.
    await listening(child, async () => {
      await ask("PUT", "/ready");
      await ask("PUT", "/ready/object");
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    port: proxy,
    region,
    accessKeyId,
    secretAccessKey,
    env: { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
    createBucket: async (name, { isPublic = false } = {}) => {
      await ask("PUT", `/${name}`, isPublic ? { "x-amz-acl": "public-read" } : {});
    },
    keys: async (bucket) =>
      [...(await ask("GET", `/${bucket}`)).matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, key]) => key!),
    publicEndpoint: `127.0.0.1:${proxy}/v1/AUTH_test`,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

async function listening(child: ChildProcess, probe: () => Promise<void>): Promise<void> {
  let complaint = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (chunk: Buffer) => {
      complaint = (complaint + chunk.toString()).slice(-4000);
    });
  }
  const answers = async (): Promise<boolean> => {
    if (child.exitCode !== null || / server ended with /.test(complaint)) throw new Error(`Swift ended: ${complaint}`);
    return probe().then(
      () => true,
      () => false,
    );
  };
  await until("Swift to answer", answers, 60_000).catch((error: unknown) => {
    throw new Error(`${error instanceof Error ? error.message : error}\n${complaint}`);
  });
}

interface Ports {
  readonly account: number;
  readonly container: number;
  readonly object: number;
  readonly proxy: number;
  readonly memcache: number;
}

/** The files of `/etc/swift`: one copy of everything, on one disk, in one process each. */
function configuration(ports: Ports): Readonly<Record<string, string>> {
  const common = (port: number): string =>
    `[DEFAULT]\nbind_ip = 127.0.0.1\nbind_port = ${port}\nworkers = 0\nuser = root\n`;
  const storage = (name: string, port: number): string =>
    `${common(port)}devices = /srv
mount_check = false
[pipeline:main]
pipeline = ${name}-server
[app:${name}-server]
use = egg:swift#${name}
`;
  return {
    "swift.conf": "[swift-hash]\nswift_hash_path_suffix = tests\n",
    "account-server.conf": storage("account", ports.account),
    "container-server.conf": storage("container", ports.container),
    "object-server.conf": storage("object", ports.object),
    "proxy-server.conf": `${common(ports.proxy)}[pipeline:main]
pipeline = catch_errors cache bulk s3api tempauth slo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:${ports.memcache}
[filter:bulk]
use = egg:swift#bulk
[filter:slo]
use = egg:swift#slo
[filter:s3api]
use = egg:swift#s3api
location = ${region}
[filter:tempauth]
use = egg:swift#tempauth
user_${accessKeyId.replace(":", "_")} = ${secretAccessKey} .admin
`,
  };
}
