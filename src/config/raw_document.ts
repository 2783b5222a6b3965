/**
 * Reads values out of an unchecked document (plain objects, arrays, scalars)
 * for rules that must also work where other parts of it are malformed.
 */
import type { Prefix } from "../core/wire/address.ts";
import { parseDuration } from "./duration.ts";

/** A step of a key's path: a key's name or an index. */
export type PathStep = string | number;

/** A broken rule at a key. */
export interface RuleProblem {
  readonly severity: "error" | "warning";
  readonly path: readonly PathStep[];
  readonly message: string;
}

/** A prefix and the key that it stands at. */
export interface PlacedPrefix {
  readonly prefix: Prefix;
  readonly path: readonly PathStep[];
}

/** The value at a path of plain objects and arrays, or undefined. */
export function valueAt(raw: unknown, path: readonly PropertyKey[]): unknown {
  let value = raw;
  for (const step of path) {
    if (
      typeof value !== "object" || value === null || !Object.hasOwn(value, step)
    ) return undefined;
    value = (value as Record<PropertyKey, unknown>)[step];
  }
  return value;
}

/** The list at a path; empty where there is none. */
export function listAt(
  raw: unknown,
  path: readonly PathStep[],
): readonly unknown[] {
  const value = valueAt(raw, path);
  return Array.isArray(value) ? value : [];
}

/** A duration at a path in milliseconds, or undefined where there is none. */
export function durationAt(
  raw: unknown,
  path: readonly PathStep[],
): number | undefined {
  const value = valueAt(raw, path);
  return typeof value === "string" || typeof value === "number"
    ? parseDuration(value)
    : undefined;
}

/** The well-formed prefixes of the list at a path. */
export function readPrefixes(
  raw: unknown,
  path: readonly PathStep[],
  read: (text: string) => Prefix | undefined,
): PlacedPrefix[] {
  const placed: PlacedPrefix[] = [];
  for (const [i, text] of listAt(raw, path).entries()) {
    const prefix = typeof text === "string" ? read(text) : undefined;
    if (prefix !== undefined) placed.push({ prefix, path: [...path, i] });
  }
  return placed;
}

/** A broken rule that makes the document unusable. */
export function ruleError(
  path: readonly PathStep[],
  message: string,
): RuleProblem {
  return { severity: "error", path, message };
}
