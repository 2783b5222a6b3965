/**
 * Reads YAML (1.2) so that every problem has its line and column: syntax
 * errors, and later whatever a schema or a rule says of a key.
 */
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
} from "yaml";
import {
  ConfigError,
  type ConfigProblem,
  formatPath,
  sortProblems,
} from "./problems.ts";

const ALIAS_LIMIT = 100;

/** Whether a problem is about a key itself or about its value. */
export type Anchor = "key" | "value";

/** A parsed YAML document that knows where everything stands. */
export class YamlSource {
  readonly file: string;
  /** The document with its comments, for edits. */
  readonly document: Document;
  /** Plain values; keys without a value are left out. */
  readonly value: unknown;
  readonly #lines: LineCounter;

  /**
   * @throws ConfigError with every syntax error.
   */
  constructor(text: string, file: string) {
    this.file = file;
    this.#lines = new LineCounter();
    this.document = parseDocument(text, {
      lineCounter: this.#lines,
      prettyErrors: false,
      stringKeys: true,
    });
    const errors = this.document.errors.map((error) =>
      this.#problem(error.pos[0], "", `YAML: ${withoutSource(error.message)}`)
    );
    if (errors.length > 0) throw new ConfigError(sortProblems(errors));
    this.value = withoutNulls(this.#plainValue());
  }

  /** A problem at a key's path; at the nearest parent where the key is missing. */
  problem(
    path: readonly PropertyKey[],
    message: string,
    anchor: Anchor = "value",
  ): ConfigProblem {
    return this.#problem(this.#offset(path, anchor), formatPath(path), message);
  }

  #plainValue(): unknown {
    try {
      return this.document.toJS({ maxAliasCount: ALIAS_LIMIT });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      throw new ConfigError([this.#problem(0, "", `YAML: ${message}`)]);
    }
  }

  #problem(offset: number, path: string, message: string): ConfigProblem {
    const { line, col } = this.#lines.linePos(offset);
    return {
      file: this.file,
      line: Math.max(1, line),
      column: Math.max(1, col),
      path,
      message,
    };
  }

  #offset(path: readonly PropertyKey[], anchor: Anchor): number {
    let node: unknown = this.document.contents;
    let offset = startOf(node) ?? 0;
    for (const [depth, step] of path.entries()) {
      if (isAlias(node)) node = node.resolve(this.document);
      const last = depth === path.length - 1;
      if (isMap(node)) {
        const pair = node.items.find((item) => keyOf(item) === String(step));
        if (pair === undefined) return offset;
        const keyAt = startOf(pair.key) ?? offset;
        const valueAt = isScalar(pair.value) ? startOf(pair.value) : undefined;
        offset = last && anchor === "value" ? valueAt ?? keyAt : keyAt;
        node = pair.value;
      } else if (isSeq(node) && typeof step === "number") {
        node = node.items[step];
        offset = startOf(node) ?? offset;
      } else {
        return offset;
      }
    }
    return offset;
  }
}

function keyOf(pair: Pair): string {
  return isScalar(pair.key) ? String(pair.key.value) : String(pair.key);
}

function startOf(node: unknown): number | undefined {
  return (node as Node | null | undefined)?.range?.[0];
}

/** What the parser stumbled over may be a secret; its place tells enough. */
function withoutSource(message: string): string {
  return message.replace(/:? "(?:[^"\\]|\\.)*"$/s, "");
}

/** A key with nothing behind it (`peers:`) counts as not written. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== "object" || value === null) return value;
  const kept = Object.entries(value).filter(([, item]) => item !== null);
  // Not by assignment: a key may be called __proto__.
  return Object.fromEntries(
    kept.map(([key, item]) => [key, withoutNulls(item)]),
  );
}
