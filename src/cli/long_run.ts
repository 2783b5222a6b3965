/**
 * What every command that runs until it is ended has around what it runs: log and
 * status line, its ending, the system, and the host's network as it was before.
 */
import { type ConfigProblem, formatProblem } from "../config/problems.ts";
import { openPlatform, type Platform } from "../io/platform.ts";
import type { HostNetwork, Journal } from "../io/ports.ts";
import { attend, type Attended } from "./attend.ts";
import { EndingWatch } from "./ending.ts";
import { logger, type LogLevel, setupLog } from "./log.ts";
import { requireTun, startupError, type TunCommand } from "./startup_error.ts";
import { openStatusLine } from "./status.ts";
import type { Moment, StatusLine } from "./status_line.ts";

/** What is run, and how it shows. */
export interface LongRunOptions<S extends Moment> {
  readonly command: TunCommand;
  readonly level: LogLevel;
  /** The text of the status line. */
  readonly format: (now: S, previous?: S) => string;
  /** What of its config is not as it should be. */
  readonly warnings?: readonly ConfigProblem[];
}

/** See the file header; what it has opened is closed with it, the last first. */
export class LongRun<S extends Moment> implements Disposable {
  readonly platform: Platform;
  readonly ending: EndingWatch;
  readonly #command: TunCommand;
  readonly #status: StatusLine<S>;
  readonly #stack: DisposableStack;

  private constructor(
    command: TunCommand,
    status: StatusLine<S>,
    stack: DisposableStack,
  ) {
    this.#command = command;
    this.#status = status;
    this.ending = stack.use(new EndingWatch());
    this.platform = stack.use(openPlatform());
    this.#stack = stack.move();
  }

  /** Begins to log, and watches for the end from here on. */
  static async begin<S extends Moment>(
    { command, level, format, warnings = [] }: LongRunOptions<S>,
  ): Promise<LongRun<S>> {
    using stack = new DisposableStack();
    const status = stack.use(openStatusLine(format));
    await setupLog({ level, write: (lines) => status.print(lines) });
    for (const warning of warnings) {
      logger("Config").warn("{warning}", { warning: formatProblem(warning) });
    }
    return new LongRun(command, status, stack);
  }

  /** @throws {UserError} where something is missing to make a TUN adapter. */
  requireTun(): void {
    requireTun(this.platform.readPrivileges(), this.#command);
  }

  /** Opens the host's network, and undoes what an earlier run left of itself. */
  openNetwork(): { journal: Journal; network: HostNetwork } {
    const journal = this.platform.openJournal();
    const network = this.#stack.use(this.platform.openHostNetwork(journal));
    for (const line of network.recover()) {
      logger("Core").info("left by an earlier run: {line}", { line });
    }
    return { journal, network };
  }

  /** Starts what is run. @throws {UserError} where it is known what to do about a failure. */
  async start<T>(start: () => Promise<T>): Promise<T> {
    try {
      return await start();
    } catch (error) {
      const { advice } = this.platform.readPrivileges();
      throw startupError(error, this.#command, advice);
    }
  }

  /** See {@linkcode attend}. */
  async attend(attended: Attended<S>): Promise<void> {
    const { ending, platform } = this;
    await attend(attended, { ending, status: this.#status, platform });
  }

  [Symbol.dispose](): void {
    this.#stack[Symbol.dispose]();
  }
}
