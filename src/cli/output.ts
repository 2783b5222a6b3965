/**
 * The program's two output streams. Results go to standard output, everything
 * about them to standard error. Colours only where a terminal shows them.
 */

/** Where text can go. */
export type OutputName = "out" | "error";

/** Writes all of a text to standard output. */
export function writeOut(text: string): void {
  writeAll(Deno.stdout, text);
}

/** Writes all of a text to standard error. */
export function writeError(text: string): void {
  writeAll(Deno.stderr, text);
}

/** Whether the stream is a terminal. */
export function isTerminal(name: OutputName): boolean {
  return (name === "out" ? Deno.stdout : Deno.stderr).isTerminal();
}

/**
 * Whether the stream takes colours: a terminal, and NO_COLOR (no-color.org) is
 * not set.
 */
export function wantsColor(name: OutputName): boolean {
  const noColor = Deno.env.get("NO_COLOR") ?? "";
  return noColor === "" && Deno.env.get("TERM") !== "dumb" && isTerminal(name);
}

/** The width of the terminal in characters; 80 where there is none. */
export function terminalColumns(): number {
  try {
    return Deno.consoleSize().columns;
  } catch {
    return 80;
  }
}

const DEFAULT_ROWS = 24;

/** The height of the terminal in lines; 24 where there is none. */
export function terminalRows(): number {
  try {
    return Deno.consoleSize().rows || DEFAULT_ROWS;
  } catch {
    return DEFAULT_ROWS;
  }
}

/** Styles that the program uses, as SGR parameters (ECMA-48). */
const STYLES = {
  bold: 1,
  dim: 2,
  red: 31,
  green: 32,
  yellow: 33,
  cyan: 36,
} as const;

/** The name of a style. */
export type Style = keyof typeof STYLES;

/** The text in a style, or as it is where `color` is false. */
export function styled(text: string, style: Style, color: boolean): string {
  return color ? `\x1b[${STYLES[style]}m${text}\x1b[0m` : text;
}

/** Columns aligned, two blanks between them, a newline after each row. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, text] of row.entries()) {
      widths[i] = Math.max(widths[i] ?? 0, text.length);
    }
  }
  const line = (row: readonly string[]) =>
    row.map((text, i) => text.padEnd(widths[i])).join("  ").trimEnd();
  return rows.map((row) => line(row) + "\n").join("");
}

function writeAll(stream: typeof Deno.stdout, text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) {
    at += stream.writeSync(bytes.subarray(at));
  }
}
