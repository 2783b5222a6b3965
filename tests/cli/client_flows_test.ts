import assert from "node:assert/strict";
import { ClientFlows } from "../../src/cli/client_flows.ts";
import { PendingMessages } from "../../src/cli/pending_messages.ts";
import { ClientMessage } from "../../src/core/columns/client_message.ts";
import { Ring } from "../../src/core/columns/ring.ts";
import { FlowTable, Way } from "../../src/core/flow/flow_table.ts";
import {
  PostedVerdict,
  readVerdict,
} from "../../src/core/flow/posted_verdict.ts";
import { parseAddress } from "../../src/core/wire/address.ts";

const words = (text: string) => Int32Array.from(parseAddress(text)!);
const LOCAL = words("10.0.0.1");
const REMOTE = words("192.0.2.7");
const OTHER = words("2001:db8::7");

/** The table as the worker writes it, the flows as control sees them, what is posted. */
function world() {
  const options = { capacity: 8, seed: 1 };
  const buffer = new ArrayBuffer(FlowTable.byteLength(options));
  const ring = new Ring(new ArrayBuffer(Ring.byteLength(4096)), 4096);
  const table = new FlowTable(buffer, options);
  const posted: { kind: number; row: number; generation: number }[] = [];
  const verdict = new PostedVerdict();
  const read = () => {
    posted.length = 0;
    ring.read((kind, row, generation, bytes, at, length) => {
      posted.push({ kind, row, generation });
      if (length > 0) readVerdict(bytes, at, verdict);
    });
    return posted;
  };
  const commands = new PendingMessages(ring, () => {});
  const begin = (port: number) => table.begin(17, LOCAL, port, REMOTE, 53, 100);
  return {
    table,
    verdict,
    read,
    begin,
    flows: new ClientFlows(new FlowTable(buffer, options), commands),
  };
}

Deno.test("a verdict goes where the flow wants to, or where the verdict says", () => {
  const { table, verdict, read, begin, flows } = world();
  const row = begin(4000);
  const generation = table.generationOf(row);
  const way = { way: Way.Packet, outbound: 3, rule: -1 } as const;
  assert.ok(flows.settle(row, generation, { ...way, to: undefined }));
  const settled = { kind: ClientMessage.Settle, row, generation };
  assert.deepEqual(read(), [settled]);
  assert.deepEqual({ ...verdict }, { ...way, to: REMOTE, toPort: 53 });
  const to = { words: OTHER, port: 5353 };
  assert.ok(flows.settle(row, generation, { ...way, to }));
  assert.deepEqual(read(), [settled]);
  assert.deepEqual({ ...verdict }, { ...way, to: OTHER, toPort: 5353 });
});

Deno.test("a row that has another flow by now is not settled", () => {
  const { table, read, begin, flows } = world();
  const row = begin(4000);
  const generation = table.generationOf(row);
  table.release(row);
  assert.equal(begin(4001), row);
  const verdict = { way: Way.Drop, outbound: 0, rule: 0, to: undefined };
  assert.equal(flows.settle(row, generation, verdict), false);
  assert.deepEqual(read(), []);
});

Deno.test("flows that are chosen end, the others stay", () => {
  const { table, read, begin, flows } = world();
  const rows = [4000, 4001, 4002].map(begin);
  assert.deepEqual(flows.all().map(({ row }) => row).sort(), rows.toSorted());
  assert.equal(flows.at(rows[1])?.local.port, 4001);
  assert.equal(flows.end(({ local }) => local.port !== 4001), 2);
  const ended = read().map(({ kind, row, generation }) => {
    assert.equal(kind, ClientMessage.End);
    assert.equal(generation, table.generationOf(row));
    return row;
  });
  assert.deepEqual(ended.sort(), [rows[0], rows[2]].sort());
});
