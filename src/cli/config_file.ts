/** The config file of a command: `-c FILE`, made where it does not exist. */
import {
  configExists,
  type LoadedServerConfig,
  loadServerConfig,
} from "../config/load_server_config.ts";
import {
  type CreatedServerConfig,
  createServerConfig,
} from "../config/create_server_config.ts";
import { formatKey } from "../config/keys.ts";
import { type ConfigProblem, formatProblem } from "../config/problems.ts";
import { closeFile } from "../io/platform.ts";
import { ExitCode, systemReason, UserError } from "./errors.ts";
import { writeError } from "./output.ts";

/** Where commands look when nobody says otherwise. */
export const DEFAULT_CONFIG = "server.yaml";

/**
 * Loads a config and prints its warnings.
 * @throws UserError where there is none, ConfigError where it is bad.
 */
export async function loadWithWarnings(
  path: string,
): Promise<LoadedServerConfig> {
  if (!await configExists(path)) {
    throw new UserError(
      `there is no config ${path}`,
      "sluice server makes one; -c FILE names another",
      ExitCode.Usage,
    );
  }
  const loaded = await loadServerConfig(path);
  printWarnings(loaded.warnings);
  return loaded;
}

/** Tells what is not wrong and yet not as it should be, on standard error. */
export function printWarnings(warnings: readonly ConfigProblem[]): void {
  for (const warning of warnings) {
    writeError(`warning: ${formatProblem(warning)}\n`);
  }
}

/**
 * Makes a config where there is none, and says so on standard error.
 * @returns what was made, or undefined where the file exists.
 */
export async function ensureConfig(
  path: string,
): Promise<CreatedServerConfig | undefined> {
  if (await configExists(path)) return undefined;
  try {
    const created = await createServerConfig(path, { closeFile });
    writeError(describeCreated(created));
    return created;
  } catch (error) {
    // Another process made it in between: as good.
    if (error instanceof Deno.errors.AlreadyExists) return undefined;
    throw new UserError(
      `there is no config ${path}, and none can be made: ${
        systemReason(error)
      }`,
      "go to a directory that you may write to, or name a file with -c FILE",
      ExitCode.Failure,
      { cause: error },
    );
  }
}

/** What was made and what to do next. */
export function describeCreated(created: CreatedServerConfig): string {
  return [
    `made ${created.path} with a fresh key (only its owner may read it)`,
    `  public key  ${formatKey(created.publicKey)}`,
    `  addresses   ${created.addresses.join(", ")}`,
    `  UDP port    ${created.listenPort}`,
    "next:",
    `  sluice peer add NAME -c ${created.path} --conf NAME.conf    add a client`,
    `  sluice server -c ${created.path}                            start the gateway`,
    "",
  ].join("\n");
}
