/**
 * Child processes with everything they print kept, line by line, so that a test
 * can wait for a line and a failure can show what was said.
 */
import { waitFor, type WaitOptions } from "./wait.ts";

// Deno asks for a newer one of itself: names and connections that no test means.
const ENV = { DENO_NO_UPDATE_CHECK: "1" } as const;

/** What a finished command left. */
export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Settings of one command. */
export interface CommandOptions {
  readonly env?: Record<string, string>;
  readonly cwd?: string;
  /** Text for its standard input; closed at once where left out. */
  readonly input?: string;
  /** Time until it is killed, in ms; 30,000 where left out. */
  readonly timeoutMs?: number;
  /** `"any"`: an exit code other than 0 is an answer, not an error. */
  readonly exit?: "success" | "any";
}

/** A command that ended with a code other than 0. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  readonly result: CommandResult;

  constructor(command: readonly string[], result: CommandResult) {
    const output = `${result.stdout}${result.stderr}`.trim();
    super(
      `${command.join(" ")}: exit code ${result.code}${
        output && `\n${output}`
      }`,
    );
    this.result = result;
  }
}

/**
 * Runs a command to its end.
 *
 * @throws CommandError where its exit code is not 0, unless `exit` is `"any"`.
 */
export async function runCommand(
  command: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const { input, timeoutMs = 30_000 } = options;
  const child = new Deno.Command(command[0], {
    args: command.slice(1),
    env: { ...ENV, ...options.env },
    cwd: options.cwd,
    stdin: input === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const timer = setTimeout(() => tryKill(child, "SIGKILL"), timeoutMs);
  try {
    if (input !== undefined) await feed(child.stdin, input);
    const output = await child.output();
    const result = {
      code: output.code,
      stdout: new TextDecoder().decode(output.stdout),
      stderr: new TextDecoder().decode(output.stderr),
    };
    if (result.code !== 0 && options.exit !== "any") {
      throw new CommandError(command, result);
    }
    return result;
  } finally {
    clearTimeout(timer);
  }
}

async function feed(
  stdin: WritableStream<Uint8Array>,
  text: string,
): Promise<void> {
  const writer = stdin.getWriter();
  try {
    await writer.write(new TextEncoder().encode(text));
    await writer.close();
  } catch {
    // The command ended without reading all of it; its exit code tells the rest.
  }
}

function tryKill(child: Deno.ChildProcess, signal: Deno.Signal): boolean {
  try {
    child.kill(signal);
    return true;
  } catch {
    return false;
  }
}

/** Lines kept of one process; of a flood the oldest go first. */
const LINES_KEPT = 20_000;

/** A long-running child whose output is kept. */
export class LoggedProcess {
  readonly name: string;
  /** Lines of stdout and stderr in order of arrival. */
  readonly lines: string[] = [];
  readonly #child: Deno.ChildProcess;
  readonly #drained: Promise<unknown>;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array> | undefined;
  #status: Deno.CommandStatus | undefined;
  #unfinishedLine = "";

  constructor(
    name: string,
    command: readonly string[],
    options: {
      readonly env?: Record<string, string>;
      readonly cwd?: string;
      readonly stdin?: "piped" | "null";
      /** Called with each line of stdout before it is kept. */
      readonly onLine?: (line: string) => void;
    } = {},
  ) {
    this.name = name;
    const stdin = options.stdin ?? "null";
    this.#child = new Deno.Command(command[0], {
      args: command.slice(1),
      env: { ...ENV, ...options.env },
      cwd: options.cwd,
      stdin,
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#stdin = stdin === "piped" ? this.#child.stdin.getWriter() : undefined;
    this.#drained = Promise.all([
      this.#keep(this.#child.stdout, options.onLine),
      this.#keep(this.#child.stderr),
      this.#child.status.then((status) => this.#status = status),
    ]);
  }

  /** Its process id. */
  get pid(): number {
    return this.#child.pid;
  }

  /** How it ended; undefined while it runs. */
  get status(): Deno.CommandStatus | undefined {
    return this.#status;
  }

  /** Resolves when it has ended and all its output is kept. */
  get ended(): Promise<unknown> {
    return this.#drained;
  }

  /** What it printed after its last newline, such as a status line. */
  get unfinishedLine(): string {
    return this.#unfinishedLine;
  }

  /** Everything printed so far as one text. */
  get text(): string {
    return this.lines.join("\n");
  }

  /** Writes one line to its standard input. */
  async writeLine(line: string): Promise<void> {
    await this.#stdin?.write(new TextEncoder().encode(line + "\n"));
  }

  /** Ends its standard input and waits for its end. @returns the exit code. */
  async closeInput(options: WaitOptions = {}): Promise<number> {
    await this.#stdin?.close();
    return await this.waitForExit(options);
  }

  /** Sends a signal; nothing happens where it has ended. */
  signal(signal: Deno.Signal): void {
    tryKill(this.#child, signal);
  }

  /**
   * Waits until a line matches, those already printed included.
   * @throws Error with the last lines, when time is up or the process ends.
   */
  async waitForLine(
    pattern: RegExp,
    options: WaitOptions = {},
  ): Promise<RegExpMatchArray> {
    const found = await waitFor(`${this.name} to print ${pattern}`, () => {
      for (const line of this.lines) {
        const match = line.match(pattern);
        if (match) return { match };
      }
      if (this.#status) return { match: undefined };
      return undefined;
    }, options).catch((error) => {
      throw new Error(`${error.message}\n${this.tail()}`);
    });
    if (found.match) return found.match;
    throw new Error(
      `${this.name} ended without printing ${pattern}\n${this.tail()}`,
    );
  }

  /** Waits for its end and gives the exit code. */
  async waitForExit(options: WaitOptions = {}): Promise<number> {
    await waitFor(`${this.name} to end`, () => this.#status, options).catch(
      (error) => {
        throw new Error(`${error.message}\n${this.tail()}`);
      },
    );
    await this.#drained;
    return this.#status!.code;
  }

  /** Ends it: SIGTERM, after `graceMs` SIGKILL. Gives the exit code. */
  async stop(graceMs = 3_000): Promise<number> {
    this.signal("SIGTERM");
    const timer = setTimeout(() => this.signal("SIGKILL"), graceMs);
    await this.#stdin?.close().catch(() => {});
    await this.#drained;
    clearTimeout(timer);
    return this.#status!.code;
  }

  /** The last lines, indented, for an error text. */
  tail(count = 40): string {
    return this.lines.slice(-count).map((line) => `    ${this.name} | ${line}`)
      .join("\n");
  }

  async #keep(
    stream: ReadableStream<Uint8Array>,
    onLine?: (line: string) => void,
  ): Promise<void> {
    let rest = "";
    const take = (line: string) => {
      onLine?.(line);
      this.lines.push(line);
      if (this.lines.length > 2 * LINES_KEPT) this.lines.splice(0, LINES_KEPT);
    };
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      const parts = (rest + text).split(/\r?\n/);
      rest = parts.pop()!;
      for (const part of parts) take(part);
      this.#unfinishedLine = rest;
    }
    if (rest) take(rest);
  }
}
