/**
 * Tells when a config file has really changed: watches its directory (editors
 * and our own writer replace files by renaming), waits until it is quiet,
 * compares the text, loads it.
 */
import { basename, dirname, resolve } from "node:path";

/** A configuration as it was loaded. */
export interface WatchedConfig {
  /** The file's text. */
  readonly text: string;
  /** Files that it names, relative to it, that count as parts of it. */
  readonly files?: readonly string[];
}

/** What a change came to; the error of a bad file is a ConfigError. */
export type ConfigChange<Loaded> =
  | { readonly kind: "loaded"; readonly loaded: Loaded }
  | { readonly kind: "failed"; readonly error: Error };

/** How the file is watched. */
export interface ConfigWatchOptions<Loaded extends WatchedConfig> {
  /** What is in use already. */
  readonly loaded: WatchedConfig;
  /** @throws {ConfigError} */
  readonly load: (path: string) => Promise<Loaded>;
  /** Wait for so long after the last event; 150 ms by default. */
  readonly quietMs?: number;
  /** Called for each real change, one at a time; must not throw. */
  readonly onChange: (change: ConfigChange<Loaded>) => void | Promise<void>;
}

const DEFAULT_QUIET_MS = 150;

/** Watches one file, and those that it names in its folder, until it is disposed of. */
export class ConfigWatch<Loaded extends WatchedConfig>
  implements AsyncDisposable {
  readonly #path: string;
  readonly #options: ConfigWatchOptions<Loaded>;
  readonly #watcher: Deno.FsWatcher;
  readonly #running: Promise<void>;
  #files: readonly string[];
  /** The texts last told of. */
  #texts: Promise<string>;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #checking: Promise<void> = Promise.resolve();
  #closed = false;

  /** Begins to watch. @throws what the system says where it can't. */
  constructor(path: string, options: ConfigWatchOptions<Loaded>) {
    this.#path = path;
    this.#options = options;
    const { text, files = [] } = options.loaded;
    this.#files = files;
    this.#texts = this.#readFiles().then((others) => joined(text, others));
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
    for await (const event of this.#watcher) {
      const names = [this.#path, ...this.#files].map((path) => basename(path));
      if (!event.paths.some((path) => names.includes(basename(path)))) continue;
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
      const before = await this.#read();
      if (before === await this.#texts) return;
      const change = await this.#load();
      if (change.kind === "loaded") this.#files = change.loaded.files ?? [];
      const texts = change.kind === "loaded"
        ? joined(change.loaded.text, await this.#readFiles())
        : await this.#read();
      // What was found bad may be a file half written, which is whole by now.
      if (change.kind === "failed" && texts !== before) continue;
      if (texts === await this.#texts) return;
      this.#texts = Promise.resolve(texts);
      return await this.#options.onChange(change);
    }
  }

  async #load(): Promise<ConfigChange<Loaded>> {
    try {
      return { kind: "loaded", loaded: await this.#options.load(this.#path) };
    } catch (error) {
      return {
        kind: "failed",
        error: error instanceof Error ? error : new Error(String(error)),
      };
    }
  }

  /** All texts, so that a change of any is a change. */
  async #read(): Promise<string> {
    return joined(await readText(this.#path), await this.#readFiles());
  }

  #readFiles(): Promise<(string | undefined)[]> {
    const folder = dirname(this.#path);
    return Promise.all(
      this.#files.map((file) => readText(resolve(folder, file))),
    );
  }
}

/** Texts in one; one that can't be read is told from an empty one. */
function joined(
  text: string | undefined,
  others: readonly (string | undefined)[],
): string {
  return JSON.stringify([
    text ?? null,
    ...others.map((other) => other ?? null),
  ]);
}

/** The file's text; undefined where it can't be read. */
function readText(path: string): Promise<string | undefined> {
  return Deno.readTextFile(path).catch(() => undefined);
}
