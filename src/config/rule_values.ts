/**
 * Rules of client.yaml as people write them: reads one into what the engine
 * compiles, and says of each value what is wrong with it.
 */
import type {
  PortRange,
  Rule,
  RuleAction,
  RuleDestination,
  RuleProtocol,
} from "../core/route/rules/rule.ts";
import { isHostName, parseHostPort, parsePort } from "./endpoint.ts";
import { readPrefix } from "./prefix.ts";
import {
  type PathStep,
  ruleError,
  type RuleProblem,
  valueAt,
} from "./raw_document.ts";

/** A value of a rule and where it stands. */
interface PlacedValue<Value> {
  readonly value: Value;
  readonly path: readonly PathStep[];
}

/** What is wrong with one value: text for a message after it. */
class Refusal {
  constructor(readonly message: string) {}
}

const ABSOLUTE = /^(?:\/|[A-Za-z]:[\\/]|\\\\)/;
const LONGEST_PATTERN = 4096;

/**
 * Reads a rule; malformed values are left out.
 * @param raw the rule unchecked; what the schema refuses is skipped.
 * @param path of the rule in the document.
 * @param problems gets what is wrong with values.
 */
export function readRule(
  raw: unknown,
  path: readonly PathStep[],
  problems: RuleProblem[],
): Rule {
  const read = <Value>(
    key: string,
    parse: (value: string | number) => Value | Refusal,
  ) => readValues(raw, { path, key, problems, parse });
  return {
    processes: read("process", readProcess),
    paths: read("path", readPath),
    directories: read("directory", readDirectory),
    children: valueAt(raw, ["children"]) === true ? true : undefined,
    users: read("user", String),
    destinations: read("destination", readDestination),
    ports: read("ports", readPorts),
    protocols: read("protocol", readProtocol),
    action: readAction(
      valueAt(raw, ["tunnel"]),
      valueAt(raw, ["fallback"]),
    ),
  };
}

/** The action that a name stands for; block where no fallback is given. */
export function readAction(name: unknown, fallback?: unknown): RuleAction {
  if (name === "direct" || name === "drop") return { kind: name };
  const known = ["allowDirect", "drop", "nextRule"] as const;
  return {
    kind: "tunnel",
    tunnel: String(name),
    fallback: known.find((word) => word === fallback) ?? "block",
  };
}

/** The values at a key of a rule, one or a list, with their places. */
function placedValues(
  raw: unknown,
  path: readonly PathStep[],
  key: string,
): PlacedValue<string | number>[] {
  const found = valueAt(raw, [key]);
  const list: PlacedValue<unknown>[] = Array.isArray(found)
    ? found.map((value, i) => ({ value, path: [...path, key, i] }))
    : [{ value: found, path: [...path, key] }];
  return list.flatMap(({ value, path }) =>
    typeof value === "string" || typeof value === "number"
      ? [{ value, path }]
      : []
  );
}

/** @returns undefined where the key is not there: the condition is none. */
function readValues<Value>(
  raw: unknown,
  { path, key, problems, parse }: {
    path: readonly PathStep[];
    key: string;
    problems: RuleProblem[];
    parse: (value: string | number) => Value | Refusal;
  },
): Value[] | undefined {
  if (valueAt(raw, [key]) === undefined) return undefined;
  const values: Value[] = [];
  for (const placed of placedValues(raw, path, key)) {
    const value = parse(placed.value);
    if (value instanceof Refusal) {
      const shown = JSON.stringify(placed.value);
      problems.push(ruleError(placed.path, `${shown} ${value.message}`));
    } else values.push(value);
  }
  return values;
}

function readProcess(value: string | number): string | Refusal {
  const text = String(value);
  if (text.trim() === "") return new Refusal("is empty: write a file name");
  if (/[/\\]/.test(text)) {
    return new Refusal("is a path: write it under path or directory");
  }
  return limited(text);
}

function readPath(value: string | number): string | Refusal {
  const text = String(value);
  if (!ABSOLUTE.test(text) && !/^\*\*[\\/]/.test(text)) {
    return new Refusal(
      "is no whole path: write it from / or the drive on, or begin with **/",
    );
  }
  if (/[/\\]$/.test(text)) {
    return new Refusal("is a folder: write it under directory");
  }
  return limited(text);
}

function readDirectory(value: string | number): string | Refusal {
  const text = String(value);
  if (!ABSOLUTE.test(text)) {
    return new Refusal("is no whole path: write it from / or the drive on");
  }
  if (/[*?]/.test(text)) {
    return new Refusal(
      "is a pattern: write it under path, with /** at its end",
    );
  }
  return limited(text);
}

function limited(text: string): string | Refusal {
  return text.length > LONGEST_PATTERN
    ? new Refusal(`is longer than ${LONGEST_PATTERN} characters`)
    : text;
}

function readDestination(value: string | number): RuleDestination | Refusal {
  const text = String(value).trim();
  const prefix = readPrefix(text);
  if (prefix !== undefined) return { kind: "prefix", prefix };
  const below = text.startsWith("*.");
  const name = (below ? text.slice(2) : text).replace(/\.$/, "").toLowerCase();
  if (isHostName(name)) return { kind: below ? "below" : "name", name };
  if (parseHostPort(text) !== undefined) {
    return new Refusal("has a port: write that under ports");
  }
  return new Refusal(
    "is not a destination: write 10.0.0.0/8, 2001:db8::1, example.org or *.example.org",
  );
}

function readPorts(value: string | number): PortRange | Refusal {
  const match = /^\s*(\d+)\s*(?:-\s*(\d+)\s*)?$/.exec(String(value));
  const first = match === null ? undefined : parsePort(match[1]);
  const last = match?.[2] === undefined ? first : parsePort(match[2]);
  if (first === undefined || last === undefined || first > last) {
    return new Refusal(
      "is no port or range of ports: write 443 or 8000-8080, from 1 to 65535",
    );
  }
  return { first, last };
}

function readProtocol(value: string | number): RuleProtocol | Refusal {
  const known = ["tcp", "udp", "icmp"] as const;
  const found = known.find((name) => name === value);
  return found ?? new Refusal("must be tcp, udp or icmp");
}
