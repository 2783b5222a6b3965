/** The status line of a running command, with the log written above it. */
import { isTerminal, terminalColumns, writeError } from "./output.ts";
import { type Moment, StatusLine } from "./status_line.ts";

/** A status line on standard error, its text made by `format`. */
export function openStatusLine<S extends Moment>(
  format: (now: S, previous?: S) => string,
): StatusLine<S> {
  return new StatusLine({
    write: writeError,
    format,
    mode: isTerminal("error") ? "live" : "plain",
    columns: terminalColumns,
  });
}
