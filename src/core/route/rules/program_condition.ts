/**
 * Conditions on the program: its name, path and folder, which all speak of one
 * and the same program; with `children` that is the owner of the flow or any of
 * its ancestors.
 */
import {
  type ConditionOutcome,
  outcome,
  type OwnerCondition,
} from "./condition.ts";
import type { FlowOwner, Program } from "./facts.ts";
import {
  isBelow,
  isGlob,
  matchesName,
  normalizeDirectory,
  normalizePath,
  PathGlob,
} from "./glob.ts";
import type { PathStyle, Rule } from "./rule.ts";

/** One of the three parts, for a program in compared form. */
interface Part {
  readonly kind: "process" | "path" | "directory";
  readonly wanted: readonly string[];
  matches(program: Program): boolean;
  /** What of the program it looks at. */
  actual(program: Program): string;
}

/** The condition of a rule on programs. */
export class ProgramCondition implements OwnerCondition {
  readonly #parts: readonly Part[];
  readonly #children: boolean;
  readonly #style: PathStyle;

  constructor(rule: Rule, style: PathStyle) {
    this.#children = rule.children === true;
    this.#style = style;
    this.#parts = partsOf(rule, style);
  }

  matches(owner: FlowOwner): boolean {
    return this.#find(owner) !== undefined;
  }

  outcomes(owner: FlowOwner | undefined): ConditionOutcome[] {
    if (owner === undefined) {
      return this.#parts.map(({ kind, wanted }) =>
        outcome(kind, undefined, { wanted, actual: [] })
      );
    }
    const found = this.#find(owner);
    const shown = found ?? this.#nearest(owner);
    const compared = normalized(shown, this.#style);
    const outcomes = this.#parts.map((part) =>
      outcome(part.kind, part.matches(compared), {
        wanted: part.wanted,
        actual: [part.actual(shown)],
      })
    );
    if (this.#children && shown !== owner) {
      outcomes.push(outcome("children", found !== undefined, {
        wanted: ["started by a program that matches"],
        actual: [shown.path],
      }));
    }
    return outcomes;
  }

  #candidates(owner: FlowOwner): readonly Program[] {
    return this.#children ? [owner, ...owner.ancestors] : [owner];
  }

  #find(owner: FlowOwner): Program | undefined {
    for (const program of this.#candidates(owner)) {
      const compared = normalized(program, this.#style);
      if (this.#parts.every((part) => part.matches(compared))) return program;
    }
    return undefined;
  }

  /** The program that most parts hold for; of equals the nearest to the flow. */
  #nearest(owner: FlowOwner): Program {
    let best: Program = owner;
    let most = -1;
    for (const program of this.#candidates(owner)) {
      const compared = normalized(program, this.#style);
      const count = this.#parts.filter((part) => part.matches(compared)).length;
      if (count > most) {
        best = program;
        most = count;
      }
    }
    return best;
  }
}

/** Whether a rule says anything of programs. */
export function hasProgram(rule: Rule): boolean {
  return rule.processes !== undefined || rule.paths !== undefined ||
    rule.directories !== undefined;
}

/** A program in the form that is compared. */
export function normalized(program: Program, style: PathStyle): Program {
  if (style === "posix") return program;
  return {
    path: normalizePath(program.path, style),
    name: normalizePath(program.name, style),
  };
}

function partsOf(rule: Rule, style: PathStyle): Part[] {
  const parts: Part[] = [];
  const { processes, paths, directories } = rule;
  if (processes !== undefined) {
    const names = processes.map((name) => normalizePath(name, style));
    const plain = new Set(names.filter((name) => !isGlob(name)));
    const globs = names.filter(isGlob);
    parts.push({
      kind: "process",
      wanted: processes,
      matches: ({ name }) =>
        plain.has(name) || globs.some((glob) => matchesName(glob, name)),
      actual: ({ name }) => name,
    });
  }
  if (paths !== undefined) {
    const globs = paths.map((path) => new PathGlob(normalizePath(path, style)));
    parts.push({
      kind: "path",
      wanted: paths,
      matches: ({ path }) => globs.some((glob) => glob.matches(path)),
      actual: ({ path }) => path,
    });
  }
  if (directories !== undefined) {
    const folders = directories.map((text) => normalizeDirectory(text, style));
    parts.push({
      kind: "directory",
      wanted: directories,
      matches: ({ path }) => folders.some((folder) => isBelow(path, folder)),
      actual: ({ path }) => path,
    });
  }
  return parts;
}
