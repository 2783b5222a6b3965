/**
 * Changes `server.yaml` in place: the result is checked before it is written,
 * two writers wait for each other, and a crash leaves the old file or the new.
 */
import { dirname, resolve } from "node:path";
import { writePrivateFile } from "./atomic_write.ts";
import { withFileLock } from "./file_lock.ts";
import {
  type LoadedServerConfig,
  loadServerConfig,
  parseServerConfig,
} from "./load_server_config.ts";

/** A changed text, and what the caller wants to keep of making it. */
export interface ConfigEdit<Result> {
  readonly text: string;
  readonly result: Result;
}

const LOCK_TIMEOUT_MS = 5000;

/**
 * Loads the file, lets `change` make a new text of it, checks that and writes
 * it. Nothing is written where `change` throws or the result would not load.
 * @returns the result of `change`.
 * @throws ConfigError, LockTimeoutError, or what `change` throws.
 */
export function editServerConfig<Result>(
  path: string,
  change: (
    loaded: LoadedServerConfig,
  ) => ConfigEdit<Result> | Promise<ConfigEdit<Result>>,
): Promise<Result> {
  return withFileLock(path, { timeoutMs: LOCK_TIMEOUT_MS }, async () => {
    const loaded = await loadServerConfig(path);
    const { text, result } = await change(loaded);
    parseServerConfig(text, {
      file: path,
      readKeyFile: (file) =>
        Deno.readTextFileSync(resolve(dirname(path), file)),
    });
    await writePrivateFile(path, text, { existing: "replace" });
    return result;
  });
}
