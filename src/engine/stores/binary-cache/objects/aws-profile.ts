// Who we are to S3 and in which region: the environment, else a profile in the user's AWS files (AWS SDKs and Tools Reference Guide).
import { execFile } from "node:child_process";
import { join } from "node:path";
import { EngineError } from "../../../base/errors.ts";
import { readTextFile } from "../../../config/load.ts";

export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string | null;
  /** Milliseconds since 1970 after which they are worth nothing; null never. */
  readonly expiresAt: number | null;
}

type Environment = Readonly<Record<string, string | undefined>>;
type Profile = ReadonlyMap<string, string>;

/** What a profile is looked up in. */
export interface AwsWorld {
  readonly environment: Environment;
  /** Text of a file, null when it cannot be read. */
  readonly readFile: (path: string) => string | null;
  /** What a `credential_process` prints. */
  readonly runProgram: (command: string) => Promise<string>;
}

/** This machine's files and programs. */
export function systemAwsWorld(environment: Environment): AwsWorld {
  return {
    environment,
    readFile: (path) => {
      const file = readTextFile(path);
      return file.type === "text" ? file.text : null;
    },
    runProgram: (command) =>
      new Promise((resolve, reject) => {
        const env: NodeJS.ProcessEnv = { ...environment };
        execFile("/bin/sh", ["-c", command], { env, timeout: 60_000, maxBuffer: 1 << 20 }, (error, stdout) => {
          // What the program printed may hold secrets, so it is not passed on.
          if (error) reject(new Error(`it ended with ${error.code ?? error.signal ?? "an error"}`));
          else resolve(stdout);
        });
      }),
  };
}

/**
 * The credentials to use; null for none, which public buckets take.
 * @param named the profile asked for (`profile`); null takes the environment's credentials, else AWS_PROFILE, else `default`
 * @throws EngineError `AWS_PROFILE_MISSING`, `AWS_CREDENTIALS_UNUSABLE`; no message holds a secret
 */
export async function findCredentials(named: string | null, world: AwsWorld): Promise<AwsCredentials | null> {
  const { environment } = world;
  const accessKeyId = nonEmpty(environment.AWS_ACCESS_KEY_ID);
  const secretAccessKey = nonEmpty(environment.AWS_SECRET_ACCESS_KEY);
  if (named === null && accessKeyId !== null && secretAccessKey !== null) {
    return { accessKeyId, secretAccessKey, sessionToken: nonEmpty(environment.AWS_SESSION_TOKEN), expiresAt: null };
  }
  const asked = named ?? nonEmpty(environment.AWS_PROFILE);
  const name = asked ?? "default";
  const profile = readProfile(name, world);
  if (profile.size === 0) {
    if (asked === null) return null;
    throw new EngineError(
      "config",
      "AWS_PROFILE_MISSING",
      `AWS profile '${name}' is in neither of ${filesOf(environment).join(", ")}`,
      {
        hint: "add it there, or give another one with profile=NAME in the store's URI",
      },
    );
  }
  const id = profile.get("aws_access_key_id");
  const secret = profile.get("aws_secret_access_key");
  if (id !== undefined && secret !== undefined) {
    return {
      accessKeyId: id,
      secretAccessKey: secret,
      sessionToken: profile.get("aws_session_token") ?? null,
      expiresAt: null,
    };
  }
  const command = profile.get("credential_process");
  if (command !== undefined) return runCredentialProcess(name, command, world);
  if (profile.has("role_arn") || profile.has("sso_session") || profile.has("sso_start_url")) {
    throw new EngineError(
      "config",
      "AWS_CREDENTIALS_UNUSABLE",
      `AWS profile '${name}' is of a kind that is not supported here (role or single sign-on)`,
      {
        hint: 'put the credentials into the environment: eval "$(aws configure export-credentials --format env)"',
      },
    );
  }
  return null;
}

/** The region of the environment or the profile; null when neither says. */
export function findRegion(named: string | null, world: AwsWorld): string | null {
  const { environment } = world;
  const given = nonEmpty(environment.AWS_REGION) ?? nonEmpty(environment.AWS_DEFAULT_REGION);
  if (given !== null) return given;
  return readProfile(named ?? nonEmpty(environment.AWS_PROFILE) ?? "default", world).get("region") ?? null;
}

async function runCredentialProcess(name: string, command: string, world: AwsWorld): Promise<AwsCredentials> {
  const unusable = (why: string): EngineError =>
    new EngineError("config", "AWS_CREDENTIALS_UNUSABLE", `credential_process of AWS profile '${name}': ${why}`, {
      hint: "run the program by hand to see what it says",
    });
  let text: string;
  try {
    text = await world.runProgram(command);
  } catch (error) {
    throw unusable(error instanceof Error ? error.message : "it failed");
  }
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    throw unusable("expected JSON, found something else");
  }
  const fields = typeof answer === "object" && answer !== null ? (answer as Record<string, unknown>) : {};
  const { AccessKeyId, SecretAccessKey, SessionToken, Expiration } = fields;
  if (typeof AccessKeyId !== "string" || typeof SecretAccessKey !== "string") {
    throw unusable("expected AccessKeyId and SecretAccessKey, found less");
  }
  const expiresAt = typeof Expiration === "string" ? Date.parse(Expiration) : Number.NaN;
  return {
    accessKeyId: AccessKeyId,
    secretAccessKey: SecretAccessKey,
    sessionToken: typeof SessionToken === "string" ? SessionToken : null,
    expiresAt: Number.isFinite(expiresAt) ? expiresAt : null,
  };
}

function filesOf(environment: Environment): [credentials: string, config: string] {
  const directory = join(environment.HOME ?? "/", ".aws");
  return [
    nonEmpty(environment.AWS_SHARED_CREDENTIALS_FILE) ?? join(directory, "credentials"),
    nonEmpty(environment.AWS_CONFIG_FILE) ?? join(directory, "config"),
  ];
}

/** A profile of both files; that of the credentials file wins. */
function readProfile(name: string, world: AwsWorld): Profile {
  const [credentials, config] = filesOf(world.environment);
  const fromConfig = sectionOf(
    world.readFile(config) ?? "",
    name === "default" ? [name, `profile ${name}`] : [`profile ${name}`],
  );
  return new Map([...fromConfig, ...sectionOf(world.readFile(credentials) ?? "", [name])]);
}

/** The settings of a section of an INI file. Indented lines belong to the setting above and are passed over. */
function sectionOf(text: string, names: readonly string[]): Profile {
  const settings = new Map<string, string>();
  let inside = false;
  for (const line of text.split(/\r?\n/)) {
    const header = /^\s*\[\s*(.*?)\s*\]/.exec(line);
    if (header !== null) inside = names.includes((header[1] ?? "").replace(/\s+/g, " "));
    const setting = /^([A-Za-z_][\w-]*)\s*=\s*(.*?)\s*$/.exec(line);
    if (inside && setting !== null) settings.set((setting[1] ?? "").toLowerCase(), setting[2] ?? "");
  }
  return settings;
}

function nonEmpty(text: string | undefined): string | null {
  return text === undefined || text === "" ? null : text;
}
