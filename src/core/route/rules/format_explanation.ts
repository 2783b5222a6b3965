/** The text of an explanation, for people. Rules are counted from 1 here. */
import type { ConditionOutcome } from "./condition.ts";
import type { Explanation, RuleTrial } from "./explain.ts";
import type { EffectCause } from "./fallback.ts";
import type { RuleAction } from "./rule.ts";
import type { Verdict } from "./verdict.ts";

/** Alternatives shown of a condition; more are counted. */
const SHOWN = 6;

/** The explanation as lines without an end. */
export function formatExplanation(explanation: Explanation): string[] {
  const { trials, verdict, ifDown } = explanation;
  const lines = trials.flatMap(trialLines);
  lines.push(`verdict: ${formatVerdict(verdict)}`);
  if (verdict.way === "tunnel" && ifDown !== undefined) {
    lines.push(
      `if tunnel ${verdict.tunnel} were down: ${formatVerdict(ifDown)}`,
    );
  }
  return lines;
}

/** A verdict as one line: `tunnel work, by rule 2`. */
export function formatVerdict(verdict: Verdict): string {
  const way = verdict.way === "tunnel"
    ? `tunnel ${verdict.tunnel}`
    : verdict.way;
  const cause = causeText(verdict.cause);
  return `${way}, ${byText(verdict)}${cause === "" ? "" : `: ${cause}`}`;
}

/** An action as one line: `tunnel work, else block`. */
export function formatAction(action: RuleAction): string {
  return action.kind === "tunnel"
    ? `tunnel ${action.tunnel}, else ${action.fallback}`
    : action.kind;
}

function trialLines(trial: RuleTrial): string[] {
  const head = `rule ${trial.rule + 1} (${formatAction(trial.action)})`;
  return [
    `${head}: ${trialText(trial)}`,
    ...trial.conditions.map((item) => `    ${conditionText(item)}`),
  ];
}

function trialText({ match, outcome }: RuleTrial): string {
  switch (match) {
    case "mismatch":
      return "does not match";
    case "owner-unknown":
      return "needs to know the program, which could not be found";
    case "match": {
      if (outcome?.effect !== "next") return "matches";
      return `matches, but ${causeText(outcome.cause)}: next rule`;
    }
  }
}

function conditionText(item: ConditionOutcome): string {
  const wanted = listText(item.wanted);
  if (item.condition === "children") {
    return `children: ${item.actual[0]} is an ancestor of the program`;
  }
  switch (item.result) {
    case "match":
      return `${item.condition}: ${listText(item.actual)} matches ${wanted}`;
    case "mismatch":
      return item.actual.length === 0
        ? `${item.condition}: has none, must be ${wanted}`
        : `${item.condition}: ${listText(item.actual)} is not ${wanted}`;
    case "unknown":
      return `${item.condition}: not known, must be ${wanted}`;
  }
}

function listText(items: readonly string[]): string {
  const more = items.length - SHOWN;
  const shown = items.slice(0, SHOWN).join(" or ");
  return more > 0 ? `${shown} or ${more} more` : shown;
}

function byText({ by, rule }: Verdict): string {
  switch (by) {
    case "rule":
      return `by rule ${rule + 1}`;
    case "default":
      return "by default";
    case "unknown-owner":
      return `by unknownOwner (rule ${rule + 1} needs the program)`;
    case "fragments":
      return "by fragments";
  }
}

function causeText(cause: EffectCause): string {
  switch (cause) {
    case "action":
      return "";
    case "tunnel-connecting":
      return "its tunnel is still connecting";
    case "tunnel-down":
      return "its tunnel is down";
    case "no-ipv6":
      return "its tunnel has no IPv6";
    case "unsupported":
      return "its tunnel can't carry this";
  }
}
