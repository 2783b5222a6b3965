/** Programs that the system starts by itself, and again when they fail. */

/** What the system is to start. */
export interface StartupTask {
  /** Letters, digits and `-`; what the system calls it. */
  readonly name: string;
  /** One line for those who list what the system starts. */
  readonly description: string;
  /** An absolute path. */
  readonly program: string;
  readonly arguments: readonly string[];
  /** Where it runs; it may write there. */
  readonly directory: string;
  /** `logon`: when the user who installs it signs in. */
  readonly at: "boot" | "logon";
  /** What it must be allowed to do. */
  readonly mode: "server" | "client";
}

/** How the system was told. */
export interface InstalledTask {
  readonly change: "created" | "replaced" | "unchanged";
  /** Where the system keeps it: a file, or a name of its own. */
  readonly place: string;
  /** What the user has to do himself, a line each. */
  readonly notes: readonly string[];
}

/** What the system has of a task. */
export type StartupTaskState =
  | { readonly kind: "absent" }
  | {
    readonly kind: "installed";
    readonly place: string;
    /** The command line as the system has it. */
    readonly command: string;
    /** As the system says; undefined where it doesn't say. */
    readonly enabled: boolean | undefined;
    readonly running: boolean | undefined;
  };

/**
 * Why nothing could be done.
 *
 * - `denied`: the right to change what the system starts is missing
 * - `unsupported`: the system has nothing that starts programs so
 * - `failed`: anything else; the message has the system's text
 */
export type StartupTaskProblem = "denied" | "unsupported" | "failed";

/** The system would not; the message says why. */
export class StartupTaskError extends Error {
  override readonly name = "StartupTaskError";
  constructor(
    readonly problem: StartupTaskProblem,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** What the system starts by itself. */
export interface StartupTasks {
  /** The text that {@linkcode StartupTasks.install} gives to the system. */
  format(task: StartupTask): string;
  /**
   * Makes it so; doing it twice changes nothing.
   * @throws {StartupTaskError}
   */
  install(task: StartupTask): Promise<InstalledTask>;
  /**
   * What leads to a file and may be changed by others than administrators: the
   * file itself, or a folder above it. Undefined where they can change nothing.
   */
  writableByOthers(path: string): string | undefined;
  /** Starts it now, or again. @throws {StartupTaskError} */
  start(name: string): Promise<void>;
  /**
   * Ends it and takes it away. @returns false where there was none.
   * @throws {StartupTaskError}
   */
  uninstall(name: string): Promise<boolean>;
  /** @throws {StartupTaskError} */
  status(name: string): Promise<StartupTaskState>;
}

/** What a program of the system said. */
export interface CommandResult {
  readonly success: boolean;
  /** Both streams, trimmed. */
  readonly text: string;
}

/** Runs a program of the system to its end. @throws Deno.errors.NotFound */
export type RunCommand = (
  program: string,
  args: readonly string[],
) => Promise<CommandResult>;
