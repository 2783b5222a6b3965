/**
 * Whether one rule leaves nothing for another: everything that the later would
 * match, the earlier matches. Where it can't tell, it says no.
 */
import {
  isBelow,
  isGlob,
  matchesName,
  normalizeDirectory,
  PathGlob,
} from "../core/route/rules/glob.ts";
import type {
  Rule,
  RuleDestination,
  RuleSet,
} from "../core/route/rules/rule.ts";
import { prefixContains } from "../core/wire/address.ts";

/** Whether flows can pass a rule that they match: the tunnel may send them on. */
export function passesOn(
  { action }: Rule,
  policies: RuleSet["policies"],
): boolean {
  if (action.kind !== "tunnel") return false;
  return action.fallback === "nextRule" ||
    (action.fallback !== "drop" &&
      (policies.ipv6 === "nextRule" || policies.unsupported === "nextRule"));
}

/** Whether a rule has no condition at all. */
export function matchesAll(rule: Rule): boolean {
  return rule.processes === undefined && rule.paths === undefined &&
    rule.directories === undefined && rule.users === undefined &&
    rule.destinations === undefined && rule.ports === undefined &&
    rule.protocols === undefined;
}

/** Whether the earlier rule matches all that the later does. */
export function covers(earlier: Rule, later: Rule): boolean {
  return coversAll(earlier.protocols, later.protocols, Object.is) &&
    coversAll(earlier.users, later.users, Object.is) &&
    coversAll(
      earlier.ports,
      later.ports,
      (a, b) => a.first <= b.first && b.last <= a.last,
    ) &&
    coversAll(earlier.destinations, later.destinations, coversDestination) &&
    coversPrograms(earlier, later);
}

/** Each of the later's alternatives lies in one of the earlier's. */
function coversAll<Value>(
  earlier: readonly Value[] | undefined,
  later: readonly Value[] | undefined,
  holds: (earlier: Value, later: Value) => boolean,
): boolean {
  if (earlier === undefined) return true;
  if (later === undefined) return false;
  return later.every((value) => earlier.some((item) => holds(item, value)));
}

function coversDestination(
  earlier: RuleDestination,
  later: RuleDestination,
): boolean {
  if (earlier.kind === "prefix") {
    return later.kind === "prefix" &&
      later.prefix.length >= earlier.prefix.length &&
      prefixContains(earlier.prefix, later.prefix.words);
  }
  if (later.kind === "prefix") return false;
  if (earlier.kind === "name") {
    return later.kind === "name" && earlier.name === later.name;
  }
  return later.name.endsWith(`.${earlier.name}`) ||
    (later.kind === "below" && earlier.name === later.name);
}

function coversPrograms(earlier: Rule, later: Rule): boolean {
  const speaks = earlier.processes ?? earlier.paths ?? earlier.directories;
  if (speaks !== undefined && later.children && !earlier.children) return false;
  return coversAll(earlier.processes, later.processes, coversName) &&
    coversAll(earlier.paths, later.paths, coversPath) &&
    coversFolders(earlier, later);
}

function coversName(earlier: string, later: string): boolean {
  return earlier === later || (!isGlob(later) && matchesName(earlier, later));
}

function coversPath(earlier: string, later: string): boolean {
  return earlier === later ||
    (!isGlob(later) && new PathGlob(earlier).matches(later));
}

function coversFolders({ directories }: Rule, later: Rule): boolean {
  if (directories === undefined) return true;
  const folders = directories.map((text) => normalizeDirectory(text, "posix"));
  if (later.directories !== undefined) {
    return later.directories.map((text) => normalizeDirectory(text, "posix"))
      .every((text) =>
        folders.some((folder) => folder === text || isBelow(text, folder))
      );
  }
  return later.paths !== undefined &&
    later.paths.every((path) =>
      !isGlob(path) && folders.some((folder) => isBelow(path, folder))
    );
}
