// The S3 credentials and region: from the environment, else from a profile in the user's AWS files (AWS SDKs and Tools Reference Guide).
import { execFile } from "node:child_process";
import { join } from "node:path";
import { EngineError } from "../../../base/errors.ts";
import { readTextFile } from "../../../config/load.ts";

export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string | null;
  /** Expiry in milliseconds since 1970; null never. */
  readonly expiresAt: number | null;
}

type Environment = Readonly<Record<string, string | undefined>>;
type Profile = ReadonlyMap<string, string>;

/** How profiles are looked up. */
export interface AwsWorld {
  readonly environment: Environment;
  /** Text of a file, null when it cannot be read. */
  readonly readFile: (path: string) => string | null;
  /** The output of a `credential_process`. */
  readonly runProgram: (command: string) => Promise<string>;
}

/** Files and programs of this machine. */
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
          // The program's output may contain secrets, so it is not passed on.
          if (error) reject(new Error(`it ended with ${error.code ?? error.signal ?? "an error"}`));
          else resolve(stdout);
        });
      }),
  };
}

/**
 * The credentials to use; null for none, which public buckets accept.
 * @param named the requested profile (`profile`); null uses the environment's credentials, else AWS_PROFILE, else `default`
 * @throws EngineError `AWS_PROFILE_MISSING`, `AWS_CREDENTIALS_UNUSABLE`; no message contains a secret
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

/** The region from the environment or the profile; null when neither has one. */
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

/** A profile, merged from both files; the credentials file wins. */
function readProfile(name: string, world: AwsWorld): Profile {
  const [credentials, config] = filesOf(world.environment);
  const fromConfig = sectionOf(
    world.readFile(config) ?? "",
    name === "default" ? [name, `profile ${name}`] : [`profile ${name}`],
  );
  return new Map([...fromConfig, ...sectionOf(world.readFile(credentials) ?? "", [name])]);
}

/** The settings in a section of an INI file. Skips indented lines, which belong to the setting above. */
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
