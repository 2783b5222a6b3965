/**
 * Patterns for names and paths of programs: `*` is any text, `?` any one
 * character, both within one folder; `**` as a whole step of a path is any
 * number of folders, none included, and at the end anything below.
 *
 * Matching goes back to the last star only, so that no pattern and no name,
 * however made up, costs more than their lengths multiplied.
 */
import type { PathStyle } from "./rule.ts";

/** Whether the text has a `*` or `?`. */
export function isGlob(text: string): boolean {
  return text.includes("*") || text.includes("?");
}

/** A name or path in the one form that is compared: `/` between steps. */
export function normalizePath(text: string, style: PathStyle): string {
  return style === "windows" ? text.replaceAll("\\", "/").toLowerCase() : text;
}

/** Whether a name (without separators) matches; both normalized. */
export function matchesName(pattern: string, name: string): boolean {
  let p = 0, n = 0, star = -1, taken = 0;
  while (n < name.length) {
    if (p < pattern.length && pattern[p] === "*") {
      star = p++;
      taken = n;
    } else if (
      p < pattern.length && (pattern[p] === "?" || pattern[p] === name[n])
    ) {
      p++;
      n++;
    } else if (star >= 0) {
      p = star + 1;
      n = ++taken;
    } else return false;
  }
  while (pattern[p] === "*") p++;
  return p === pattern.length;
}

/** A path pattern, cut into steps once. */
export class PathGlob {
  readonly #steps: readonly string[];
  /** The steps before the first wildcard, joined; the pattern itself where it has none. */
  readonly literal: string;
  /** Whether {@linkcode literal} is the whole pattern. */
  readonly isLiteral: boolean;

  /** @param pattern normalized. */
  constructor(pattern: string) {
    const steps = pattern.split("/");
    // Two in a row say no more than one.
    this.#steps = steps.filter((step, i) =>
      step !== "**" || steps[i - 1] !== "**"
    );
    const wild = this.#steps.findIndex(isGlob);
    this.isLiteral = wild < 0;
    this.literal = (wild < 0 ? this.#steps : this.#steps.slice(0, wild)).join(
      "/",
    );
  }

  /** Whether a path matches; normalized. */
  matches(path: string): boolean {
    if (this.isLiteral) return path === this.literal;
    const names = path.split("/");
    const steps = this.#steps;
    let s = 0, n = 0, star = -1, taken = 0;
    while (n < names.length) {
      if (s < steps.length && steps[s] === "**") {
        // At the end it is what lies below: one step at least, of which this is the first.
        if (s === steps.length - 1) return true;
        star = s++;
        taken = n;
      } else if (s < steps.length && matchesName(steps[s], names[n])) {
        s++;
        n++;
      } else if (star >= 0) {
        s = star + 1;
        n = ++taken;
      } else return false;
    }
    return s === steps.length;
  }
}

/** Whether a path lies in a folder, at any depth; both normalized, the folder without a slash at its end. */
export function isBelow(path: string, directory: string): boolean {
  return path.length > directory.length + 1 && path.startsWith(directory) &&
    path[directory.length] === "/";
}

/** A folder normalized, without a slash at its end; the root is empty. */
export function normalizeDirectory(text: string, style: PathStyle): string {
  return normalizePath(text, style).replace(/\/+$/, "");
}
