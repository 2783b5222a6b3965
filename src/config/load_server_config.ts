/**
 * Reads `server.yaml`: syntax, schema, rules, key file. Every problem is found
 * in one run, each with file, line and column; none shows a secret.
 */
import { dirname, resolve } from "node:path";
import type { Document } from "yaml";
import { parseKey, publicKeyOf } from "./keys.ts";
import { ConfigError, type ConfigProblem, sortProblems } from "./problems.ts";
import { valueAt } from "./raw_document.ts";
import { schemaProblems } from "./schema_problems.ts";
import { resolveServerConfig, type ServerConfig } from "./server_config.ts";
import { checkServerRules } from "./server_rules.ts";
import { serverSchema } from "./server_schema.ts";
import { YamlSource } from "./yaml_positions.ts";

/** A configuration that passed, with what it was made from. */
export interface LoadedServerConfig {
  /** The file as the caller named it. */
  readonly path: string;
  readonly config: ServerConfig;
  /** The YAML document with its comments. */
  readonly document: Document;
  /** The file's text, to tell a real change from a touch. */
  readonly text: string;
  readonly warnings: readonly ConfigProblem[];
}

/** What a text needs to be read without a file. */
export interface ParseOptions {
  /** The file's name for messages. */
  readonly file: string;
  /**
   * Reads interface.privateKeyFile.
   * @throws whatever the system says; it becomes a problem at the key.
   */
  readonly readKeyFile: (path: string) => string;
}

/** Longer files are refused: nobody writes them by hand. */
const SIZE_LIMIT = 16 * 1024 * 1024;

/**
 * Checks a text and makes the configuration from it.
 * @throws ConfigError with every problem.
 */
export function parseServerConfig(
  text: string,
  options: ParseOptions,
): LoadedServerConfig {
  const source = new YamlSource(text, options.file);
  const raw = source.value ?? {};
  const parsed = serverSchema.safeParse(raw);
  const errors = parsed.success
    ? []
    : schemaProblems(serverSchema, parsed.error.issues, source);
  const privateKey = readPrivateKey(raw, source, options, errors);
  const warnings: ConfigProblem[] = [];
  const gatewayKey = privateKey && publicKeyOf(privateKey);
  const readable = typeof raw === "object" && !Array.isArray(raw);
  const rules = readable
    ? checkServerRules(parsed.success ? parsed.data : raw, gatewayKey)
    : [];
  const reported = new Set(errors.map((problem) => problem.path));
  for (const { path, message, severity } of rules) {
    const problem = source.problem(path, message);
    if (severity === "warning") warnings.push(problem);
    else if (!reported.has(problem.path)) errors.push(problem);
  }
  if (errors.length > 0 || !parsed.success || privateKey === undefined) {
    throw new ConfigError(sortProblems(errors));
  }
  return {
    path: options.file,
    config: resolveServerConfig(parsed.data, privateKey),
    document: source.document,
    text,
    warnings: sortProblems(warnings),
  };
}

/**
 * Reads and checks a configuration file.
 * @throws ConfigError with every problem; also where the file can't be read.
 */
export async function loadServerConfig(
  path: string,
): Promise<LoadedServerConfig> {
  const text = await readConfigText(path);
  const keyFiles: string[] = [];
  const loaded = parseServerConfig(text, {
    file: path,
    readKeyFile(file) {
      const resolved = resolve(dirname(path), file);
      keyFiles.push(resolved);
      return Deno.readTextFileSync(resolved);
    },
  });
  const warnings = [...loaded.warnings];
  const inline = holdsSecret(loaded.document.toJS());
  if (inline && await isOpenToAll(path)) {
    warnings.push(openFile(path, "config"));
  }
  for (const file of keyFiles) {
    if (await isOpenToAll(file)) warnings.push(openFile(file, "key file"));
  }
  return { ...loaded, warnings };
}

/** Whether there is a file at the path. */
export async function configExists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw fileError(path, describeReadError(error));
  }
}

async function readConfigText(path: string): Promise<string> {
  try {
    const { size, isDirectory } = await Deno.stat(path);
    if (isDirectory) throw fileError(path, "is a directory, not a config file");
    if (size > SIZE_LIMIT) {
      throw fileError(path, `is ${size} bytes long, too long for a config`);
    }
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw fileError(path, describeReadError(error));
  }
}

function readPrivateKey(
  raw: unknown,
  source: YamlSource,
  options: ParseOptions,
  errors: ConfigProblem[],
): Uint8Array | undefined {
  const inline = valueAt(raw, ["interface", "privateKey"]);
  if (typeof inline === "string") return parseKey(inline);
  const path = ["interface", "privateKeyFile"];
  const file = valueAt(raw, path);
  if (typeof file !== "string" || file === "") return undefined;
  try {
    const key = parseKey(options.readKeyFile(file));
    if (key === undefined) {
      errors.push(source.problem(
        path,
        `${file} holds no WireGuard key: one line of base64, as sluice genkey prints it`,
      ));
    }
    return key;
  } catch (error) {
    errors.push(source.problem(path, `${file} ${describeReadError(error)}`));
    return undefined;
  }
}

function describeReadError(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "does not exist";
  if (error instanceof Deno.errors.PermissionDenied) {
    return "can't be read: permission denied; run as its owner or change its mode";
  }
  const message = error instanceof Error ? error.message : String(error);
  return `can't be read: ${message}`;
}

function fileError(path: string, message: string): ConfigError {
  return new ConfigError([
    { file: path, line: 0, column: 0, path: "", message },
  ]);
}

function openFile(path: string, what: string): ConfigProblem {
  const message =
    `every user of this machine may read this ${what} and the keys in it; run: chmod 600 ${path}`;
  return { file: path, line: 0, column: 0, path: "", message };
}

async function isOpenToAll(path: string): Promise<boolean> {
  const { mode } = await Deno.stat(path);
  return mode !== null && (mode & 0o007) !== 0;
}

function holdsSecret(raw: unknown): boolean {
  if (valueAt(raw, ["interface", "privateKey"]) !== undefined) return true;
  const peers = valueAt(raw, ["peers"]);
  return Array.isArray(peers) &&
    peers.some((peer) => valueAt(peer, ["presharedKey"]) !== undefined);
}
