import assert from "node:assert/strict";
import fc from "fast-check";
import { SocketChains } from "../../../../src/io/os/shared/socket_chains.ts";

/** Rows of each chain, as [socket, rows]. */
function read(chains: SocketChains): [number, number[]][] {
  return Array.from({ length: chains.chains }, (_, i) => {
    const head = chains.head[i];
    const rows: number[] = [];
    for (let entry = head; entry >= 0; entry = chains.next[entry]) {
      assert.equal(chains.socket[entry], chains.socket[head]);
      rows.push(chains.row[entry]);
    }
    return [chains.socket[head], rows];
  });
}

Deno.test("rows of one socket are a chain, in their order; chains in that of first rows", () => {
  const chains = new SocketChains(8);
  [7, 5, 7, 7, 9].forEach((socket, row) => chains.add(socket, socket, row));
  assert.deepEqual(read(chains), [[7, [0, 2, 3]], [5, [1]], [9, [4]]]);
  assert.equal(chains.count, 5);
});

Deno.test("sockets of any numbers, again and again, as a table of lists has them", () => {
  const chains = new SocketChains(64);
  const sockets = fc.array(
    fc.oneof(fc.nat(8), fc.nat(5000), fc.constantFrom(1023, 1024, 2048)),
    { maxLength: 64 },
  );
  fc.assert(fc.property(sockets, (sockets) => {
    const lists = new Map<number, number[]>();
    sockets.forEach((number, row) => {
      chains.add(number * 4, number, row);
      const list = lists.get(number * 4) ?? [];
      lists.set(number * 4, [...list, row]);
    });
    assert.deepEqual(read(chains), [...lists]);
    chains.clear();
    assert.equal(chains.count + chains.chains, 0);
  }));
});
