/** Messages of the process connector: bytes by hand, every truncation. */
import assert from "node:assert/strict";
import {
  handleEvent,
  listenRequest,
} from "../../../../src/io/os/linux/process_events.ts";
import { hex } from "./hex.ts";

/** A message's frame: nlmsghdr, cn_msg, then the event's kind, CPU and time. */
function event(what: string, data: string): Uint8Array {
  return hex(`
    4c000000 0300 0000 00000000 00000000
    01000000 01000000 00000000 00000000 2800 0000
    ${what} 00000000 0000000000000000
    ${data}`);
}

const FORK = event(
  "01000000",
  "64000000 64000000 65000000 65000000 0000000000000000",
);
const THREAD = event(
  "01000000",
  "64000000 64000000 66000000 64000000 0000000000000000",
);
const EXEC = event(
  "02000000",
  "65000000 65000000 00000000 00000000 0000000000000000",
);
const USER = event(
  "04000000",
  "65000000 65000000 e8030000 e8030000 0000000000000000",
);
const EXIT = event(
  "00000080",
  "65000000 65000000 00000000 11000000 6400000064000000",
);
const THREAD_EXIT = event(
  "00000080",
  "66000000 64000000 00000000 11000000 6400000064000000",
);

function told(bytes: Uint8Array, length = bytes.length): string[] {
  const lines: string[] = [];
  handleEvent(bytes, length, {
    started: (id, parent) => lines.push(`${parent} started ${id}`),
    changed: (id, what) => lines.push(`${id} changed its ${what}`),
    ended: (id) => lines.push(`${id} ended`),
  });
  return lines;
}

Deno.test("the request to be told", () => {
  assert.deepEqual(
    listenRequest().finish(0),
    hex(`
      28000000 0300 0000 00000000 00000000
      01000000 01000000 00000000 00000000 0400 0000   # CN_IDX_PROC, CN_VAL_PROC, 4 bytes
      01000000                                        # PROC_CN_MCAST_LISTEN`),
  );
});

Deno.test("processes start, change and end; threads are nothing", () => {
  assert.deepEqual(told(FORK), ["100 started 101"]);
  assert.deepEqual(told(EXEC), ["101 changed its program"]);
  assert.deepEqual(told(USER), ["101 changed its user"]);
  assert.deepEqual(told(EXIT), ["101 ended"]);
  assert.deepEqual(told(THREAD), []);
  assert.deepEqual(told(THREAD_EXIT), []);
  assert.deepEqual(told(event("00010000", "00".repeat(24))), []);
});

Deno.test("a cut message tells nothing", () => {
  for (let length = 0; length < 36 + 16 + 16; length++) {
    assert.deepEqual(told(FORK, length), []);
  }
});
