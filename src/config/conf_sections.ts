/** Splits a WireGuard `.conf` file into sections and lines, with their places. */
import type { ConfigProblem } from "./problems.ts";

/** A line `Key = value`, where it stands, and its value. */
export interface ConfEntry {
  readonly key: string;
  readonly value: string;
  readonly line: number;
  /** Column of the value. */
  readonly column: number;
}

/** `[Interface]` or `[Peer]` with its lines. */
export interface ConfSection {
  readonly name: "Interface" | "Peer";
  readonly line: number;
  readonly entries: readonly ConfEntry[];
}

/** What a text holds, and its malformed lines. */
export interface ConfSections {
  readonly sections: readonly ConfSection[];
  readonly errors: ConfigProblem[];
}

const NAMES = ["Interface", "Peer"] as const;

/** Reads the sections of a text; `file` is its name for messages. */
export function readConfSections(text: string, file: string): ConfSections {
  const sections: {
    name: ConfSection["name"];
    line: number;
    entries: ConfEntry[];
  }[] = [];
  const errors: ConfigProblem[] = [];
  // Lines under an unknown section are its own; one error is enough.
  let skipping = false;
  for (const [i, raw] of text.replace(/^\ufeff/, "").split(/\r?\n/).entries()) {
    const line = i + 1;
    const content = raw.replace(/#.*$/, "").trimEnd();
    if (content.trim() === "") continue;
    const column = content.length - content.trimStart().length + 1;
    const complain = (path: string, message: string) =>
      errors.push({ file, line, column, path, message });
    const header = /^\s*\[(.*)\]$/.exec(content);
    if (header !== null) {
      const wanted = header[1].trim().toLowerCase();
      const name = NAMES.find((known) => known.toLowerCase() === wanted);
      skipping = name === undefined;
      if (name === undefined) {
        complain(
          "",
          `unknown section [${header[1]}]; known are [Interface] and [Peer]`,
        );
      } else sections.push({ name, line, entries: [] });
      continue;
    }
    if (skipping) continue;
    const pair = /^\s*([^=]*?)\s*=\s*(.*)$/.exec(content);
    const section = sections.at(-1);
    if (pair === null) {
      complain("", "not a line of a .conf file: write Key = value");
    } else if (section === undefined) {
      complain(
        pair[1],
        "stands before the first section; begin with [Interface]",
      );
    } else {
      const [, key, value] = pair;
      section.entries.push({
        key,
        value,
        line,
        column: content.length - value.length + 1,
      });
    }
  }
  return { sections, errors };
}
