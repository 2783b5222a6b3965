/**
 * Reads `client.yaml`: syntax, schema, tunnels with their .conf files, rules.
 * Every problem is found in one run, each with file, line and column (those of
 * a .conf file at their own places); none shows a secret.
 */
import { dirname, resolve } from "node:path";
import type { Document } from "yaml";
import { CheckedDocument } from "./checked_document.ts";
import { type ClientConfig, resolveClientConfig } from "./client_config.ts";
import { checkClientRules } from "./client_rules.ts";
import { clientSchema } from "./client_schema.ts";
import { readTunnels } from "./client_tunnels.ts";
import { openFileWarnings, readConfigText } from "./config_text.ts";
import { ConfigError, type ConfigProblem, sortProblems } from "./problems.ts";
import { listAt, type RuleProblem, valueAt } from "./raw_document.ts";

/** A configuration that passed, with what it was made from. */
export interface LoadedClientConfig {
  /** The file as the caller named it. */
  readonly path: string;
  readonly config: ClientConfig;
  /** The YAML document with its comments. */
  readonly document: Document;
  /** The file's text, to tell a real change from a touch. */
  readonly text: string;
  /** The .conf files that it names, as it names them: a change of one counts. */
  readonly files: readonly string[];
  readonly warnings: readonly ConfigProblem[];
}

/** What a text needs to be read without a file. */
export interface ParseClientOptions {
  /** The file's name for messages. */
  readonly file: string;
  /**
   * Reads a tunnel's .conf file.
   * @throws whatever the system says; it becomes a problem at the key.
   */
  readonly readFile: (path: string) => string;
}

/**
 * Checks a text and makes the configuration from it.
 * @throws ConfigError with every problem.
 */
export function parseClientConfig(
  text: string,
  options: ParseClientOptions,
): LoadedClientConfig {
  const checked = new CheckedDocument(clientSchema, text, options);
  const { raw, source } = checked;
  const files: string[] = [];
  const fileErrors: ConfigProblem[] = [];
  const fileWarnings: ConfigProblem[] = [];
  const problems: RuleProblem[] = [];
  const readFile = (path: string) => {
    files.push(path);
    return options.readFile(path);
  };
  const tunnels = checked.isReadable
    ? readTunnels(raw, { readFile, problems, fileErrors, fileWarnings })
    : [];
  if (checked.isReadable) {
    const refused = refusedRules(checked.errors);
    problems.push(...checkClientRules(raw, tunnels, { refused }));
  }
  checked.report(problems);
  // Two files: each in its own order, this one first.
  if (fileErrors.length > 0) {
    throw new ConfigError([...sortProblems(checked.errors), ...fileErrors]);
  }
  const document = checked.passed();
  return {
    path: options.file,
    config: resolveClientConfig(document, tunnels),
    document: source.document,
    text,
    files,
    warnings: [...sortProblems(checked.warnings), ...fileWarnings],
  };
}

/**
 * Reads and checks a configuration file.
 * @throws ConfigError with every problem; also where the file can't be read.
 */
export async function loadClientConfig(
  path: string,
): Promise<LoadedClientConfig> {
  const text = await readConfigText(path);
  const loaded = parseClientConfig(text, {
    file: path,
    readFile: confReader(path),
  });
  const warnings = [...loaded.warnings];
  if (holdsSecret(loaded.document.toJS())) {
    warnings.push(...await openFileWarnings(path, "config"));
  }
  for (const file of loaded.files) {
    const beside = resolve(dirname(path), file);
    warnings.push(...await openFileWarnings(beside, "file"));
  }
  return { ...loaded, warnings };
}

/** Reads .conf files beside a configuration file. */
export function confReader(path: string): (file: string) => string {
  return (file) => Deno.readTextFileSync(resolve(dirname(path), file));
}

function refusedRules(errors: readonly ConfigProblem[]): Set<number> {
  const places = errors.map(({ path }) => /^rules\[(\d+)\]/.exec(path)?.[1]);
  return new Set(places.filter((place) => place !== undefined).map(Number));
}

function holdsSecret(raw: unknown): boolean {
  return listAt(raw, ["tunnels"]).some((tunnel) => {
    const url = valueAt(tunnel, ["url"]);
    return valueAt(tunnel, ["privateKey"]) !== undefined ||
      (typeof url === "string" && url.includes("@"));
  });
}
