/**
 * Turns what the schema library says into sentences for people: what is wrong,
 * what would be right, which key was meant.
 */
import { z } from "zod";
import type { ConfigProblem } from "./problems.ts";
import { formatPath } from "./problems.ts";
import { valueAt } from "./raw_document.ts";
import { suggest } from "./suggest.ts";
import type { YamlSource } from "./yaml_positions.ts";

/** The part of a JSON schema that tells which keys exist where. */
interface SchemaNode {
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly items?: SchemaNode;
}

const SECRETS = ["privateKey", "presharedKey", "url"];

/** Every issue as problems at their places; one for each unknown key. */
export function schemaProblems(
  schema: z.ZodType,
  issues: readonly z.core.$ZodIssue[],
  source: YamlSource,
): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  for (const issue of issues) {
    if (issue.code === "unrecognized_keys") {
      const tree = z.toJSONSchema(schema, { io: "input" }) as SchemaNode;
      for (const key of issue.keys) {
        const path = [...issue.path, key];
        problems.push(source.problem(path, unknownKey(tree, path), "key"));
      }
    } else {
      // The library also checks the length of what is no list at all.
      const path = formatPath(issue.path);
      if (problems.some((earlier) => earlier.path === path)) continue;
      const value = valueAt(source.value, issue.path);
      const anchor = value === undefined ? "key" : "value";
      const message = issueMessage(issue, value);
      problems.push(source.problem(issue.path, message, anchor));
    }
  }
  return problems;
}

function unknownKey(root: SchemaNode, path: readonly PropertyKey[]): string {
  const key = String(path.at(-1));
  const parent = nodeAt(root, path.slice(0, -1));
  const near = suggest(key, Object.keys(parent?.properties ?? {}));
  if (near !== undefined) return `unknown key; did you mean ${near}?`;
  const elsewhere = findKey(root, key, []);
  if (elsewhere !== undefined) {
    return `unknown key here; it belongs at ${formatPath(elsewhere)}`;
  }
  const known = Object.keys(parent?.properties ?? {}).join(", ");
  return `unknown key; known here are ${known}`;
}

function nodeAt(
  root: SchemaNode,
  path: readonly PropertyKey[],
): SchemaNode | undefined {
  let node: SchemaNode | undefined = root;
  for (const step of path) {
    node = typeof step === "number"
      ? node?.items
      : node?.properties?.[String(step)];
  }
  return node;
}

function findKey(
  node: SchemaNode,
  key: string,
  path: readonly PropertyKey[],
): readonly PropertyKey[] | undefined {
  for (const [name, child] of Object.entries(node.properties ?? {})) {
    if (name === key) return [...path, name];
    const deeper = findKey(child, key, [...path, name]);
    if (deeper !== undefined) return deeper;
  }
  return undefined;
}

function issueMessage(issue: z.core.$ZodIssue, value: unknown): string {
  const secret = SECRETS.includes(String(issue.path.at(-1)));
  const shown = secret ? "what is there" : describeValue(value);
  switch (issue.code) {
    case "invalid_type":
      return value === undefined
        ? "is missing"
        : `must be ${expectedType(issue.expected)}, not ${shown}`;
    case "invalid_value": {
      if (typeof value === "string" && isOwnMessage(issue.message)) {
        return issue.message;
      }
      const words = issue.values.map(String);
      const near = typeof value === "string"
        ? suggest(value, words)
        : undefined;
      const hint = near === undefined ? "" : `; did you mean ${near}?`;
      return `must be ${words.join(" or ")}, not ${shown}${hint}`;
    }
    case "too_small":
      return isOwnMessage(issue.message)
        ? issue.message
        : `must be at least ${issue.minimum}${
          unitOf(issue.origin)
        }, not ${shown}`;
    case "too_big":
      return isOwnMessage(issue.message)
        ? issue.message
        : `must be at most ${issue.maximum}${
          unitOf(issue.origin)
        }, not ${shown}`;
    default:
      return secret || value === undefined || typeof value === "object"
        ? issue.message
        : `${shown} is ${negated(issue.message)}`;
  }
}

/** Whether the text is one of the schema's own and not the library's. */
function isOwnMessage(message: string): boolean {
  return !/^(Invalid|Too (small|big))/.test(message);
}

/** «"x" is not a …»: our messages begin with «not» or «must be». */
function negated(message: string): string {
  return message.startsWith("must be") ? `not valid: it ${message}` : message;
}

function expectedType(expected: string): string {
  switch (expected) {
    case "string":
      return "text";
    case "int":
    case "number":
      return "a whole number";
    case "boolean":
      return "true or false";
    case "array":
      return "a list";
    case "object":
      return "a section with keys of its own";
    default:
      return expected;
  }
}

function unitOf(origin: string): string {
  return origin === "array" ? " long" : "";
}

function describeValue(value: unknown): string {
  if (typeof value === "string") {
    const text = value.length > 40 ? `${value.slice(0, 40)}…` : value;
    return JSON.stringify(text);
  }
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "a section";
  return String(value);
}
