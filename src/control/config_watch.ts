/**
 * Tells when a config file has really changed: watches its directory (editors
 * and our own writer replace files by renaming), waits until it is quiet,
 * compares the text, loads it.
 */
import { basename, dirname } from "node:path";
import {
  type LoadedServerConfig,
  loadServerConfig,
} from "../config/load_server_config.ts";

/** What a change came to; the error of a bad file is a ConfigError. */
export type ConfigChange =
  | { readonly kind: "loaded"; readonly loaded: LoadedServerConfig }
  | { readonly kind: "failed"; readonly error: Error };

/** How the file is watched. */
export interface ConfigWatchOptions {
  /** The text that is in use already. */
  readonly text: string;
  /** Wait for so long after the last event; 150 ms by default. */
  readonly quietMs?: number;
  /** Called for each real change, one at a time; must not throw. */
  readonly onChange: (change: ConfigChange) => void | Promise<void>;
}

const DEFAULT_QUIET_MS = 150;

/** Watches one file until it is disposed of. */
export class ConfigWatch implements AsyncDisposable {
  readonly #path: string;
  readonly #options: ConfigWatchOptions;
  readonly #watcher: Deno.FsWatcher;
  readonly #running: Promise<void>;
  /** The text last told of; undefined while the file could not be read. */
  #text: string | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #checking: Promise<void> = Promise.resolve();
  #closed = false;

  /** Begins to watch. @throws what the system says where it can't. */
  constructor(path: string, options: ConfigWatchOptions) {
    this.#path = path;
    this.#options = options;
    this.#text = options.text;
    this.#watcher = Deno.watchFs(dirname(path), { recursive: false });
    this.#running = this.#run();
  }

  /** Looks at the file now; done when `onChange` is. */
  check(): Promise<void> {
    this.#checking = this.#checking.then(() => this.#check());
    return this.#checking;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#watcher.close();
    await this.#running;
    await this.#checking;
  }

  async #run(): Promise<void> {
    const name = basename(this.#path);
    for await (const event of this.#watcher) {
      if (!event.paths.some((path) => basename(path) === name)) continue;
      clearTimeout(this.#timer);
      if (this.#closed) return;
      this.#timer = setTimeout(
        () => void this.check(),
        this.#options.quietMs ?? DEFAULT_QUIET_MS,
      );
    }
  }

  async #check(): Promise<void> {
    while (!this.#closed) {
      const before = await readText(this.#path);
      if (before === this.#text) return;
      const change = await load(this.#path);
      const text = change.kind === "loaded"
        ? change.loaded.text
        : await readText(this.#path);
      // What was found bad may be a file half written, which is whole by now.
      if (change.kind === "failed" && text !== before) continue;
      if (text === this.#text) return;
      this.#text = text;
      return await this.#options.onChange(change);
    }
  }
}

/** The file's text; undefined where it can't be read. */
function readText(path: string): Promise<string | undefined> {
  return Deno.readTextFile(path).catch(() => undefined);
}

async function load(path: string): Promise<ConfigChange> {
  try {
    return { kind: "loaded", loaded: await loadServerConfig(path) };
  } catch (error) {
    return {
      kind: "failed",
      error: error instanceof Error ? error : new Error(String(error)),
    };
  }
}
