/** The status line of a running command, with the log written above it. */
import { isTerminal, writeError } from "./output.ts";
import { StatusLine } from "./status_line.ts";

const DEFAULT_COLUMNS = 80;

/** A status line on standard error. */
export function openStatusLine(): StatusLine {
  return new StatusLine({
    write: writeError,
    mode: isTerminal("error") ? "live" : "plain",
    columns: terminalColumns,
  });
}

/** The width of the terminal; 80 where there is none. */
function terminalColumns(): number {
  try {
    return Deno.consoleSize().columns;
  } catch {
    return DEFAULT_COLUMNS;
  }
}
