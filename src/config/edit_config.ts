/**
 * Changes a configuration file in place: the result is checked before it is
 * written, two writers wait for each other, and a crash leaves the old file or
 * the new.
 */
import { type WriteOptions, writePrivateFile } from "./atomic_write.ts";
import { withFileLock } from "./file_lock.ts";

/** A changed text, and what the caller wants to keep of making it. */
export interface ConfigEdit<Result> {
  readonly text: string;
  readonly result: Result;
}

/** How one kind of configuration is read. */
export interface ConfigReader<Loaded> {
  /** @throws ConfigError */
  load(path: string): Promise<Loaded>;
  /**
   * Checks a text that is to become the file's.
   * @throws ConfigError
   */
  check(text: string, path: string): unknown;
}

/** How the file is written. */
export type EditOptions = Omit<WriteOptions, "existing">;

const LOCK_TIMEOUT_MS = 5000;

/**
 * Loads the file, lets `change` make a new text of it, checks that and writes
 * it. Nothing is written where `change` throws or the result would not load.
 * @returns the result of `change`.
 * @throws ConfigError, LockTimeoutError, or what `change` throws.
 */
export function editConfig<Loaded, Result>(
  path: string,
  reader: ConfigReader<Loaded>,
  change: (
    loaded: Loaded,
  ) => ConfigEdit<Result> | Promise<ConfigEdit<Result>>,
  options: EditOptions = {},
): Promise<Result> {
  return withFileLock(path, { timeoutMs: LOCK_TIMEOUT_MS }, async () => {
    const { text, result } = await change(await reader.load(path));
    reader.check(text, path);
    await writePrivateFile(path, text, { ...options, existing: "replace" });
    return result;
  });
}
