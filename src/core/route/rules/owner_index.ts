/**
 * Rules by who a flow belongs to: exact names of programs, exact paths, the
 * folders that patterns of paths begin with, users.
 */
import type { CandidateSet } from "./candidate_set.ts";
import { addAll, addTo } from "./destination_index.ts";
import type { FlowOwner, Program } from "./facts.ts";
import { isGlob, normalizeDirectory, normalizePath, PathGlob } from "./glob.ts";
import { normalized } from "./program_condition.ts";
import type { PathStyle, Rule } from "./rule.ts";
import { comparedUser, userForms } from "./user_condition.ts";

/** Rules that are about programs or users. */
export class OwnerIndex {
  readonly #style: PathStyle;
  readonly #names = new Map<string, number[]>();
  readonly #paths = new Map<string, number[]>();
  readonly #folders = new Map<string, number[]>();
  readonly #users = new Map<string, number[]>();
  /** Length of the longest folder, so that deep paths cost no more than they must. */
  #longestFolder = 0;
  #children = false;

  constructor(style: PathStyle) {
    this.#style = style;
  }

  /**
   * Takes a rule by the first of its conditions that narrows it down.
   * @returns false where none does: the rule must be tried always.
   */
  add(rule: Rule, index: number): boolean {
    const added = this.#addNames(rule, index) || this.#addPaths(rule, index) ||
      this.#addDirectories(rule, index);
    if (added) {
      if (rule.children === true) this.#children = true;
      return true;
    }
    for (const user of rule.users ?? []) {
      addTo(this.#users, comparedUser(user, this.#style), index);
    }
    return rule.users !== undefined;
  }

  /** Adds every rule that may hold for the owner. */
  collect(owner: FlowOwner, candidates: CandidateSet): void {
    this.#collectProgram(owner, candidates);
    if (this.#children) {
      for (const ancestor of owner.ancestors) {
        this.#collectProgram(ancestor, candidates);
      }
    }
    if (this.#users.size === 0) return;
    for (const form of userForms(owner, this.#style)) {
      addAll(candidates, this.#users.get(form));
    }
  }

  #addNames({ processes }: Rule, index: number): boolean {
    if (processes === undefined || processes.some(isGlob)) return false;
    for (const name of processes) {
      addTo(this.#names, normalizePath(name, this.#style), index);
    }
    return true;
  }

  #addPaths({ paths }: Rule, index: number): boolean {
    if (paths === undefined) return false;
    const globs = paths.map((path) =>
      new PathGlob(normalizePath(path, this.#style))
    );
    if (globs.some(({ literal }) => literal === "")) return false;
    for (const { literal, isLiteral } of globs) {
      if (isLiteral) addTo(this.#paths, literal, index);
      else this.#addFolder(literal, index);
    }
    return true;
  }

  #addDirectories({ directories }: Rule, index: number): boolean {
    if (directories === undefined) return false;
    for (const directory of directories) {
      this.#addFolder(normalizeDirectory(directory, this.#style), index);
    }
    return true;
  }

  #addFolder(folder: string, index: number): void {
    addTo(this.#folders, folder, index);
    this.#longestFolder = Math.max(this.#longestFolder, folder.length);
  }

  #collectProgram(program: Program, candidates: CandidateSet): void {
    const { name, path } = normalized(program, this.#style);
    addAll(candidates, this.#names.get(name));
    addAll(candidates, this.#paths.get(path));
    if (this.#folders.size === 0) return;
    for (
      let slash = path.indexOf("/");
      slash >= 0 && slash <= this.#longestFolder;
      slash = path.indexOf("/", slash + 1)
    ) {
      addAll(candidates, this.#folders.get(path.slice(0, slash)));
    }
  }
}
