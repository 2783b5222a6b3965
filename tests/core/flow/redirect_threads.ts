/**
 * The other threads of a redirect table, over rows that are used again at once:
 * the relay settles every dial that it sees, the seal worker takes packets of
 * the relay for whatever is open.
 */
import { Batch } from "../../../src/core/columns/batch.ts";
import { TcpRelay } from "../../../src/core/engine/tcp_relay.ts";
import {
  generationIn,
  RedirectState,
  RedirectTable,
  type RedirectTableOptions,
  stateIn,
} from "../../../src/core/flow/redirect_table.ts";
import { RELAY } from "../engine/world.ts";
import { ACK, segment } from "./segments.ts";

/** What a thread is given. */
export interface ThreadTask {
  readonly role: "relay" | "seal";
  readonly buffer: SharedArrayBuffer;
  readonly size: RedirectTableOptions;
  /** Cell 0: stop; cell 1: threads that run. */
  readonly control: Int32Array;
}

/** What it has done. */
export interface ThreadResult {
  /** Dials settled, or packets that passed. */
  readonly done: number;
  /** Packets that were mixed from two connections. */
  readonly mixed: number;
}

const scope = self as unknown as {
  onmessage: (event: MessageEvent<ThreadTask>) => void;
  postMessage: (result: ThreadResult) => void;
};

scope.onmessage = ({ data: { role, buffer, size, control } }) => {
  const table = new RedirectTable(buffer, size);
  const step = role === "relay" ? relay(table) : seal(table);
  const result = { done: 0, mixed: 0 };
  Atomics.add(control, 1, 1);
  Atomics.notify(control, 1);
  while (Atomics.load(control, 0) === 0) {
    for (let row = 0; row < size.capacity; row++) {
      const found = step(row);
      if (found !== 0) result.done++;
      if (found < 0) result.mixed++;
    }
  }
  scope.postMessage(result);
};

function relay(table: RedirectTable): (row: number) => number {
  return (row) => {
    const word = table.wordOf(row);
    if (stateIn(word) !== RedirectState.Dialing) return 0;
    return table.settle(row, generationIn(word), RedirectState.Open) ? 1 : 0;
  };
}

/** 1 for a packet that passed, -1 for one that was mixed. */
function seal(table: RedirectTable): (row: number) => number {
  const tcp = new TcpRelay({
    config: RELAY,
    mtu: 1420,
    table,
    clients: "peers",
  });
  const batch = new Batch({
    bytes: new Uint8Array(256),
    capacity: 1,
    spareStart: 256,
    spareEnd: 256,
    headroom: 0,
    tailroom: 0,
  });
  const packet = segment({
    from: "198.18.254.1",
    to: "198.18.254.2",
    fromPort: 4433,
    toPort: 1024,
    flags: ACK,
  });
  return (row) => {
    const { bytes } = batch;
    bytes.set(packet);
    bytes[19] = 2 + (table.generationOf(row) & (table.generations - 1));
    bytes[23] = row;
    batch.clear();
    batch.push(0, packet.length, -1);
    if (tcp.fromRelay(batch, 0, 0) < 0) return 0;
    // All four parts say the same number.
    const parts = [bytes[15], bytes[19], bytes[21], bytes[23]];
    return parts.every((part) => part === parts[0]) ? 1 : -1;
  };
}
