/**
 * What is wrong in a configuration file, where, and what to do: one problem
 * is one line for the user, `file:line:column: path: message`.
 */

/** One thing wrong (or worth a warning) at a place in a file. */
export interface ConfigProblem {
  /** The file as the user named it. */
  readonly file: string;
  /** 1-based; 0 where the problem is the file itself. */
  readonly line: number;
  /** 1-based; 0 where the problem is the file itself. */
  readonly column: number;
  /** The key as a path: `peers[0].publicKey`; empty for the whole file. */
  readonly path: string;
  /** What is wrong and what would be right. Never holds a secret. */
  readonly message: string;
}

/** A configuration that can't be used; carries every problem found, in file order. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super(problems.map(formatProblem).join("\n"));
    this.problems = problems;
  }
}

/** A problem as one line. */
export function formatProblem(problem: ConfigProblem): string {
  const place = problem.line > 0
    ? `${problem.file}:${problem.line}:${problem.column}`
    : problem.file;
  return problem.path === ""
    ? `${place}: ${problem.message}`
    : `${place}: ${problem.path}: ${problem.message}`;
}

/** A key's path as people write it: `peers[0].publicKey`. */
export function formatPath(path: readonly PropertyKey[]): string {
  let text = "";
  for (const step of path) {
    if (typeof step === "number") text += `[${step}]`;
    else text += text === "" ? String(step) : `.${String(step)}`;
  }
  return text;
}

/** Problems in file order, each once. */
export function sortProblems(
  problems: readonly ConfigProblem[],
): ConfigProblem[] {
  const once = new Map(
    problems.map((problem) => [formatProblem(problem), problem]),
  );
  return [...once.values()].sort((a, b) =>
    a.line - b.line || a.column - b.column
  );
}
