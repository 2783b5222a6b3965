/** The status line of a running command, with the log written above it. */
import { isTerminal, terminalColumns, writeError } from "./output.ts";
import { StatusLine } from "./status_line.ts";

/** A status line on standard error. */
export function openStatusLine(): StatusLine {
  return new StatusLine({
    write: writeError,
    mode: isTerminal("error") ? "live" : "plain",
    columns: terminalColumns,
  });
}
