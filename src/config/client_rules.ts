/**
 * What a client.yaml must hold beyond the form of single values: rules that
 * name tunnels that there are, and that can match; tunnels that can be reached;
 * a default that is asked.
 *
 * Like server_rules.ts it reads the raw document and skips whatever is
 * malformed, so that one run names every problem.
 */
import type { Rule, RulePolicies } from "../core/route/rules/rule.ts";
import { type PlacedTunnel, tunnelNames } from "./client_tunnels.ts";
import { checkHealth } from "./health_probe.ts";
import {
  durationAt,
  listAt,
  type PathStep,
  ruleError,
  type RuleProblem,
  valueAt,
} from "./raw_document.ts";
import { covers, matchesAll, passesOn } from "./rule_cover.ts";
import { readAction, readRule } from "./rule_values.ts";
import { suggest } from "./suggest.ts";
import { checkTunnelLoops } from "./tunnel_loops.ts";

/** A rule that has been read, by its place in the list. */
export interface PlacedRule {
  readonly index: number;
  readonly rule: Rule;
  /** As it stands in the document. */
  readonly raw: unknown;
}

/** Ways that are no tunnels. */
const WAYS = ["direct", "drop"];

/**
 * Every broken rule of a document.
 * @param raw the document as plain values, unchecked.
 * @param tunnels of it, as far as they could be read.
 * @param options.refused places of rules that the schema has refused: what they
 *                would match is not known.
 */
export function checkClientRules(
  raw: unknown,
  tunnels: readonly PlacedTunnel[],
  { refused }: { refused: ReadonlySet<number> },
): RuleProblem[] {
  const problems: RuleProblem[] = [];
  const names = tunnelNames(raw);
  const rules: PlacedRule[] = [];
  for (const [index, item] of listAt(raw, ["rules"]).entries()) {
    const path = ["rules", index];
    const found: RuleProblem[] = [];
    const rule = readRule(item, path, found);
    checkTarget(valueAt(item, ["tunnel"]), {
      path: [...path, "tunnel"],
      words: [...WAYS, ...names],
      problems: found,
    });
    checkRule(item, rule, { path, problems: found });
    const sound = found.every(({ severity }) => severity === "warning");
    if (sound && !refused.has(index)) rules.push({ index, rule, raw: item });
    problems.push(...found);
  }
  checkDefault(raw, { names, rules, problems });
  checkTarget(valueAt(raw, ["unknownOwner"]), {
    path: ["unknownOwner"],
    words: [...WAYS, "nextRule", ...names],
    problems,
  });
  checkUnreachable(raw, rules, problems);
  checkTunnelLoops(tunnels, rules, problems);
  checkHealth(raw, tunnels, problems);
  checkTimes(raw, problems);
  return problems;
}

function checkTarget(
  value: unknown,
  { path, words, problems }: {
    path: readonly PathStep[];
    words: readonly string[];
    problems: RuleProblem[];
  },
): void {
  if (typeof value !== "string" || words.includes(value)) return;
  const near = suggest(value, words);
  const hint = near === undefined
    ? `known are ${words.join(", ")}`
    : `did you mean ${near}?`;
  problems.push(
    ruleError(path, `unknown tunnel ${JSON.stringify(value)}; ${hint}`),
  );
}

function checkRule(
  raw: unknown,
  rule: Rule,
  { path, problems }: {
    path: readonly PathStep[];
    problems: RuleProblem[];
  },
): void {
  const fallback = valueAt(raw, ["fallback"]);
  const target = valueAt(raw, ["tunnel"]);
  if (fallback !== undefined && WAYS.includes(String(target))) {
    problems.push(ruleError(
      [...path, "fallback"],
      `is for tunnels: ${target} never falls`,
    ));
  }
  const programs = rule.processes ?? rule.paths ?? rule.directories;
  if (rule.children === true && programs === undefined) {
    problems.push(ruleError(
      [...path, "children"],
      "needs process, path or directory: whose children?",
    ));
  }
  const { protocols, ports } = rule;
  const portless = protocols !== undefined &&
    protocols.every((protocol) => protocol === "icmp");
  if (ports !== undefined && portless) {
    problems.push({
      severity: "warning",
      path: [...path, "ports"],
      message: "this rule can never match: icmp has no ports",
    });
  }
}

function checkDefault(
  raw: unknown,
  { names, rules, problems }: {
    names: readonly string[];
    rules: readonly PlacedRule[];
    problems: RuleProblem[];
  },
): void {
  const value = valueAt(raw, ["default"]);
  const path = ["default"];
  checkTarget(value, { path, words: [...WAYS, ...names], problems });
  if (typeof value !== "string") return;
  const policies = readPolicies(raw);
  const catchAll = rules.find(({ rule }) =>
    matchesAll(rule) && !passesOn(rule, policies)
  );
  if (catchAll === undefined) return;
  const { index } = catchAll;
  const target = valueAt(raw, ["rules", index, "tunnel"]);
  if (target === value) return;
  problems.push(ruleError(
    path,
    `conflicts with rules[${index}], which has no condition and sends everything to ${target}: the default would never be asked; remove one of them`,
  ));
}

function checkUnreachable(
  raw: unknown,
  rules: readonly PlacedRule[],
  problems: RuleProblem[],
): void {
  const policies = readPolicies(raw);
  const deciding: PlacedRule[] = [];
  for (const placed of rules) {
    const { index, rule } = placed;
    const earlier = deciding.find((other) => covers(other.rule, rule));
    if (earlier !== undefined) {
      problems.push({
        severity: "warning",
        path: ["rules", index],
        message:
          `this rule can never match: rules[${earlier.index}] decides all that it is about`,
      });
    } else if (!passesOn(rule, policies)) deciding.push(placed);
  }
}

function checkTimes(raw: unknown, problems: RuleProblem[]): void {
  const pairs = [
    [["dns", "learned", "minTtl"], ["dns", "learned", "maxTtl"]],
    [["reconnect", "minDelay"], ["reconnect", "maxDelay"]],
  ];
  for (const [lower, upper] of pairs) {
    const least = durationAt(raw, lower);
    const most = durationAt(raw, upper);
    if (least !== undefined && most !== undefined && least > most) {
      problems.push(ruleError(lower, `can't be longer than ${upper.at(-1)}`));
    }
  }
  const positive = [
    ["dns", "timeout"],
    ["reconnect", "minDelay"],
    ["capture", "holdTime"],
    ["capture", "tcpTimeout"],
    ["capture", "udpTimeout"],
    ...listAt(raw, ["tunnels"]).flatMap((_, i) => [
      ["tunnels", i, "health", "interval"],
      ["tunnels", i, "health", "timeout"],
    ]),
  ];
  for (const path of positive) {
    if (durationAt(raw, path) === 0) {
      problems.push(ruleError(path, "must be longer than 0"));
    }
  }
  const persist = valueAt(raw, ["killSwitch", "persist"]);
  if (persist === true && valueAt(raw, ["killSwitch", "enabled"]) === false) {
    problems.push({
      severity: "warning",
      path: ["killSwitch", "persist"],
      message: "does nothing while killSwitch.enabled is false",
    });
  }
}

/** The policies of a document, checked or not; what is missing is safe. */
export function readPolicies(raw: unknown): RulePolicies {
  const owner = valueAt(raw, ["unknownOwner"]) ?? "drop";
  const uncarried = ["direct", "nextRule", "fallback"] as const;
  const policyAt = (key: string) =>
    uncarried.find((word) => word === valueAt(raw, [key])) ?? "drop";
  return {
    unknownOwner: owner === "nextRule"
      ? { kind: "nextRule" }
      : readAction(owner),
    fragments: valueAt(raw, ["fragments"]) === "follow" ? "follow" : "drop",
    ipv6: policyAt("ipv6"),
    unsupported: policyAt("unsupported"),
  };
}
