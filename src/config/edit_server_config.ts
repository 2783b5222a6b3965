/** Changes `server.yaml` in place; see edit_config.ts. */
import { dirname, resolve } from "node:path";
import {
  type ConfigEdit,
  editConfig,
  type EditOptions,
} from "./edit_config.ts";
import {
  type LoadedServerConfig,
  loadServerConfig,
  parseServerConfig,
} from "./load_server_config.ts";

/**
 * Lets `change` make a new text of the file, checks that and writes it.
 * @returns the result of `change`.
 * @throws ConfigError, LockTimeoutError, or what `change` throws.
 */
export function editServerConfig<Result>(
  path: string,
  change: (
    loaded: LoadedServerConfig,
  ) => ConfigEdit<Result> | Promise<ConfigEdit<Result>>,
  options: EditOptions = {},
): Promise<Result> {
  const check = (text: string) =>
    parseServerConfig(text, {
      file: path,
      readKeyFile: (file) =>
        Deno.readTextFileSync(resolve(dirname(path), file)),
    });
  return editConfig(path, { load: loadServerConfig, check }, change, options);
}
