/**
 * What the user is told when something can't be done: one message, what to do
 * about it, and the exit code. No stack trace; `--log-level debug` adds it.
 */
import { CommanderError } from "commander";
import { LockTimeoutError } from "../config/file_lock.ts";
import { ConfigError, formatProblem } from "../config/problems.ts";
import { PeerError } from "../control/peer_error.ts";

/** Exit codes of the program. */
export const ExitCode = {
  Ok: 0,
  /** It was asked rightly and failed. */
  Failure: 1,
  /** Wrong usage or a configuration that can't be used. */
  Usage: 2,
} as const;

/** One of {@linkcode ExitCode}. */
export type ExitCode = typeof ExitCode[keyof typeof ExitCode];

/** A failure that the user can understand and mend. */
export class UserError extends Error {
  override readonly name = "UserError";
  /** What to do; shown on a line of its own. */
  readonly hint: string | undefined;
  readonly exitCode: ExitCode;

  constructor(
    message: string,
    hint?: string,
    exitCode: ExitCode = ExitCode.Failure,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.hint = hint;
    this.exitCode = exitCode;
  }
}

/** What to print on standard error, and the exit code. */
export interface ErrorReport {
  /** Without a newline at the end; empty where nothing is to be said. */
  readonly text: string;
  readonly exitCode: number;
}

/** Why a call to the system failed, in plain words and without its arguments. */
export function systemReason(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "no such directory";
  if (error instanceof Deno.errors.PermissionDenied) return "permission denied";
  if (error instanceof Deno.errors.AlreadyExists) return "it exists already";
  return error instanceof Error ? error.message : String(error);
}

/** Any thrown value as a message for the user. */
export function reportError(error: unknown): ErrorReport {
  if (error instanceof CommanderError) {
    // Commander has printed help, version or its complaint already.
    return {
      text: "",
      exitCode: error.exitCode === 0 ? ExitCode.Ok : ExitCode.Usage,
    };
  }
  if (error instanceof UserError) {
    return {
      text: message(error.message, error.hint),
      exitCode: error.exitCode,
    };
  }
  if (error instanceof ConfigError) return reportConfigError(error);
  if (error instanceof PeerError) {
    return {
      text: message(error.message, error.hint),
      exitCode: ExitCode.Failure,
    };
  }
  if (error instanceof LockTimeoutError) {
    return {
      text: message(error.message, "try again in a moment"),
      exitCode: ExitCode.Failure,
    };
  }
  if (error instanceof Deno.errors.BrokenPipe) {
    return { text: "", exitCode: ExitCode.Failure };
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return {
      text: message(error.message, "run as a user who may, or as root"),
      exitCode: ExitCode.Failure,
    };
  }
  const text = error instanceof Error ? error.message : String(error);
  return {
    text: message(text, "--log-level debug shows where it comes from"),
    exitCode: ExitCode.Failure,
  };
}

function reportConfigError(error: ConfigError): ErrorReport {
  const lines = error.problems.map((problem) =>
    `error: ${formatProblem(problem)}`
  );
  if (lines.length > 1) {
    lines.push(`${lines.length} problems; nothing was done`);
  }
  return { text: lines.join("\n"), exitCode: ExitCode.Usage };
}

function message(text: string, hint: string | undefined): string {
  return hint === undefined ? `error: ${text}` : `error: ${text}\n  ${hint}`;
}
