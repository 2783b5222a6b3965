/** The results that `deno test --junit-path` writes, as far as they are told on. */

/** How one test ended. */
export interface TestResult {
  readonly name: string;
  readonly outcome: "passed" | "ignored" | { readonly failure: string };
}

const CASE =
  /<testcase name="([^"]*)"[^>]*>\s*(<skipped|<failure[^>]*>([^<]*))?/g;
const ENTITIES: Record<string, string> = {
  "&lt;": "<",
  "&gt;": ">",
  "&quot;": '"',
  "&apos;": "'",
  "&amp;": "&",
};

/** Reads a report; a test's steps are part of it. */
export function parseJunit(xml: string): TestResult[] {
  const results: TestResult[] = [];
  let last: { name: string; failures: string[] } | undefined;
  for (const [, rawName, mark, rawFailure] of xml.matchAll(CASE)) {
    const name = plain(rawName);
    const failure = rawFailure === undefined ? undefined : plain(rawFailure);
    if (last && name.startsWith(`${last.name} > `)) {
      const step = name.slice(last.name.length + 3);
      if (failure !== undefined) last.failures.push(`${step}: ${failure}`);
      continue;
    }
    const failures = failure === undefined ? [] : [failure];
    last = { name, failures };
    const outcome = mark === "<skipped"
      ? "ignored"
      : failure === undefined
      ? "passed"
      : {
        get failure() {
          return failures.join("\n");
        },
      };
    results.push({ name, outcome });
  }
  return results;
}

function plain(text: string): string {
  return text.replace(/&\w+;/g, (entity) => ENTITIES[entity] ?? entity);
}
