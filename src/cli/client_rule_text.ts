/** Rules as options of a command, as entries of client.yaml, as lines for people. */
import type { ItemEntry } from "../config/edit_client_config.ts";
import { formatTable } from "./output.ts";

/** What `rule add` takes; lists where an option may be given again. */
export interface RuleFlags {
  readonly process: readonly string[];
  readonly path: readonly string[];
  readonly directory: readonly string[];
  readonly user: readonly string[];
  readonly destination: readonly string[];
  readonly port: readonly string[];
  readonly protocol: readonly string[];
  readonly children?: true;
  readonly tunnel: string;
  readonly fallback?: string;
}

/** Keys of a rule that are conditions, as they are shown. */
const CONDITIONS = [
  "process",
  "path",
  "directory",
  "children",
  "user",
  "destination",
  "ports",
  "protocol",
] as const;
/** Values shown of one condition; more are counted. */
const SHOWN = 4;

/** The entry that flags ask for; what is not given is left out. */
export function ruleEntry(flags: RuleFlags): ItemEntry {
  const { children, tunnel, fallback } = flags;
  return {
    process: oneOrMore(flags.process),
    path: oneOrMore(flags.path),
    directory: oneOrMore(flags.directory),
    children,
    user: oneOrMore(flags.user.map(numberOrText)),
    destination: oneOrMore(flags.destination),
    ports: oneOrMore(flags.port.map(numberOrText)),
    protocol: oneOrMore(flags.protocol),
    tunnel,
    fallback,
  };
}

/** Rules as they stand in the file, by number. */
export function ruleTable(
  rules: readonly ItemEntry[],
  otherwise: unknown,
): string {
  return formatTable([
    ["RULE", "GOES", "WHAT"],
    ...rules.map((rule, n) => [String(n + 1), wayText(rule), ruleText(rule)]),
    ["else", String(otherwise), "everything"],
  ]);
}

/** The conditions of a rule as one line. */
export function ruleText(rule: ItemEntry): string {
  const parts = CONDITIONS.filter((key) => rule[key] !== undefined)
    .map((key) => conditionText(key, rule[key]));
  return parts.length === 0 ? "everything" : parts.join("; ");
}

function conditionText(key: string, value: unknown): string {
  if (key === "children") {
    return value === true ? "and what these start" : "not what these start";
  }
  const values = Array.isArray(value) ? value : [value];
  const shown = values.slice(0, SHOWN).join(", ");
  const more = values.length - SHOWN;
  return `${key} ${shown}${more > 0 ? ` and ${more} more` : ""}`;
}

function wayText({ tunnel, fallback }: ItemEntry): string {
  return fallback === undefined
    ? String(tunnel)
    : `${tunnel}, else ${fallback}`;
}

function oneOrMore<Value>(
  values: readonly Value[],
): Value | readonly Value[] | undefined {
  return values.length > 1 ? values : values[0];
}

function numberOrText(text: string): number | string {
  return /^\d{1,9}$/.test(text) ? Number(text) : text;
}
