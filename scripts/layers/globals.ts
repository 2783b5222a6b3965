/**
 * `core` is sans-I/O: time, randomness and the world come in as arguments. This
 * finds the globals that would bring them in by the back door, in the code
 * itself: comments, strings and regular expressions do not count.
 */
import type { Violation } from "./rules.ts";

const FORBIDDEN = new RegExp(
  `(?<![.\\w$#])(${
    [
      "Deno\\b",
      "Date\\b",
      "performance\\b",
      "set(?:Timeout|Interval|Immediate)\\b",
      "queueMicrotask\\b",
      "Math\\s*\\.\\s*random\\b",
      "console\\b",
      "crypto\\s*\\.\\s*(?:subtle|getRandomValues|randomUUID)\\b",
      "Worker\\b",
      "fetch\\b",
      "globalThis\\b",
    ].join("|")
  })(?!\\s*\\??:(?!:))`,
  "g",
);

/** A comment, a string, a regular expression after an operator, or one character. */
const TOKEN =
  /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|(?<=[=(,:[!&|?{};\n]\s*)\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n])+\/[a-z]*|[\s\S]/g;

/** The source with comments, strings and regular expressions blanked, lines kept. */
export function codeOnly(source: string): string {
  const blank = (text: string) => text.replace(/[^\n]/g, " ");
  let code = "";
  let at = 0;
  while (at < source.length) {
    if (source[at] === "`") {
      const end = templateEnd(source, at);
      code += templateCode(source.slice(at, end), blank);
      at = end;
      continue;
    }
    TOKEN.lastIndex = at;
    const token = TOKEN.exec(source)![0];
    code += token.length === 1 ? token : blank(token);
    at += token.length;
  }
  return code;
}

/** Index behind the template literal that starts at `at`. */
function templateEnd(source: string, at: number): number {
  let depth = 0;
  for (let i = at + 1; i < source.length; i++) {
    if (source[i] === "\\") i++;
    else if (depth === 0 && source[i] === "`") return i + 1;
    else if (depth > 0 && source[i] === "`") i = templateEnd(source, i) - 1;
    else if (source[i] === "$" && source[i + 1] === "{" && depth === 0) {
      depth = 1;
      i++;
    } else if (depth > 0 && source[i] === "{") depth++;
    else if (depth > 0 && source[i] === "}") depth--;
  }
  return source.length;
}

/** A template literal with its text blanked and the code in `${}` kept. */
function templateCode(
  literal: string,
  blank: (text: string) => string,
): string {
  let code = "";
  let depth = 0;
  let start = 0;
  for (let i = 1; i < literal.length - 1; i++) {
    if (depth === 0 && literal[i] === "\\") i++;
    else if (depth === 0 && literal[i] === "$" && literal[i + 1] === "{") {
      code += blank(literal.slice(start, i + 2));
      depth = 1;
      start = i + 2;
      i++;
    } else if (depth > 0 && literal[i] === "{") depth++;
    else if (depth > 0 && literal[i] === "}" && --depth === 0) {
      code += codeOnly(literal.slice(start, i));
      start = i;
    }
  }
  return code + blank(literal.slice(start));
}

/** Every forbidden global in the source of a file of `core`. */
export function checkGlobals(file: string, source: string): Violation[] {
  return Array.from(codeOnly(source).matchAll(FORBIDDEN), (match) => {
    const line = source.slice(0, match.index).split("\n").length;
    return {
      file: `${file}:${line}`,
      message: `uses ${
        match[1]
      }: core takes time, randomness and the world as arguments`,
    };
  });
}
