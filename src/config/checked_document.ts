/**
 * The steps that every configuration file goes through: YAML, schema, rules.
 * All problems are found in one run; where the schema has named a key, a rule
 * need not name it again.
 */
import type { z } from "zod";
import { ConfigError, type ConfigProblem, sortProblems } from "./problems.ts";
import type { RuleProblem } from "./raw_document.ts";
import { schemaProblems } from "./schema_problems.ts";
import { YamlSource } from "./yaml_positions.ts";

/** A document on its way through the checks. */
export class CheckedDocument<Schema extends z.ZodType> {
  readonly source: YamlSource;
  readonly errors: ConfigProblem[] = [];
  readonly warnings: ConfigProblem[] = [];
  /** The document where the schema has accepted it, defaults filled in. */
  readonly document: z.output<Schema> | undefined;
  /** The document, or plain values as they were written where it has not. */
  readonly raw: unknown;

  /** @throws ConfigError with every syntax error. */
  constructor(schema: Schema, text: string, { file }: { file: string }) {
    this.source = new YamlSource(text, file);
    this.raw = this.source.value ?? {};
    const parsed = schema.safeParse(this.raw);
    if (parsed.success) {
      this.document = parsed.data;
      this.raw = parsed.data;
    } else {
      this.errors.push(
        ...schemaProblems(schema, parsed.error.issues, this.source),
      );
    }
  }

  /** Whether rules can read it: a YAML document may be a text or a list. */
  get isReadable(): boolean {
    return typeof this.raw === "object" && !Array.isArray(this.raw);
  }

  /** Takes what rules have found. */
  report(rules: readonly RuleProblem[]): void {
    const reported = new Set(this.errors.map(({ path }) => path));
    for (const { path, message, severity } of rules) {
      const problem = this.source.problem(path, message);
      if (severity === "warning") this.warnings.push(problem);
      else if (!reported.has(problem.path)) this.errors.push(problem);
    }
  }

  /**
   * The document that has passed.
   * @throws ConfigError with every problem.
   */
  passed(): z.output<Schema> {
    if (this.errors.length > 0 || this.document === undefined) {
      throw new ConfigError(sortProblems(this.errors));
    }
    return this.document;
  }
}
