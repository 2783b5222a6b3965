/**
 * Reads `server.yaml`: syntax, schema, rules, key file. Every problem is found
 * in one run, each with file, line and column; none shows a secret.
 */
import { dirname, resolve } from "node:path";
import type { Document } from "yaml";
import { CheckedDocument } from "./checked_document.ts";
import {
  describeReadError,
  openFileWarnings,
  readConfigText,
} from "./config_text.ts";
import { parseKey, publicKeyOf } from "./keys.ts";
import { type ConfigProblem, sortProblems } from "./problems.ts";
import { valueAt } from "./raw_document.ts";
import { resolveServerConfig, type ServerConfig } from "./server_config.ts";
import { checkServerRules } from "./server_rules.ts";
import { serverSchema } from "./server_schema.ts";

export { configExists } from "./config_text.ts";

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

/**
 * Checks a text and makes the configuration from it.
 * @throws ConfigError with every problem.
 */
export function parseServerConfig(
  text: string,
  options: ParseOptions,
): LoadedServerConfig {
  const checked = new CheckedDocument(serverSchema, text, options);
  const { raw, source, warnings } = checked;
  const privateKey = readPrivateKey(checked, options);
  const gatewayKey = privateKey && publicKeyOf(privateKey);
  if (checked.isReadable) checked.report(checkServerRules(raw, gatewayKey));
  const document = checked.passed();
  if (privateKey === undefined) throw new TypeError("document not checked");
  return {
    path: options.file,
    config: resolveServerConfig(document, privateKey),
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
  if (holdsSecret(loaded.document.toJS())) {
    warnings.push(...await openFileWarnings(path, "config"));
  }
  for (const file of keyFiles) {
    warnings.push(...await openFileWarnings(file, "key file"));
  }
  return { ...loaded, warnings };
}

function readPrivateKey(
  { raw, source, errors }: CheckedDocument<typeof serverSchema>,
  options: ParseOptions,
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

function holdsSecret(raw: unknown): boolean {
  if (valueAt(raw, ["interface", "privateKey"]) !== undefined) return true;
  const peers = valueAt(raw, ["peers"]);
  return Array.isArray(peers) &&
    peers.some((peer) => valueAt(peer, ["presharedKey"]) !== undefined);
}
