/** Where a report of an error outside is put. */
import type { OutsideErrorReport } from "../../ports/outside.ts";

/** A report with nothing in it. */
export function emptyReport(): OutsideErrorReport {
  return {
    natRow: -1,
    type: 0,
    code: 0,
    extra: 0,
    family: 4,
    offender: new Int32Array(4),
    destination: new Int32Array(4),
    destinationPort: 0,
    payloadAt: 0,
    payloadLength: 0,
  };
}
