import assert from "node:assert/strict";
import { EndpointIndex } from "../../../src/datapath/relay/endpoint_index.ts";
import { SeededRandom } from "../../core/columns/seeded_random.ts";

function words(address: number): Int32Array {
  return Int32Array.of(0, 0, 0xffff, address);
}

Deno.test("an index agrees with a map over long random use", () => {
  for (const capacity of [1, 2, 7, 64]) {
    const random = new SeededRandom(capacity);
    const index = new EndpointIndex(capacity, random.next());
    const twin = new Map<string, number>();
    for (let step = 0; step < 20_000; step++) {
      const address = random.below(8);
      const port = random.below(capacity);
      const key = `${address}:${port}`;
      const row = index.find(words(address), 0, port);
      assert.equal(row, twin.get(key) ?? -1);
      if (row >= 0 && random.below(2) === 0) {
        index.remove(row);
        twin.delete(key);
      } else if (row < 0) {
        const added = index.add(words(address), 0, port);
        assert.equal(added >= 0, twin.size < capacity);
        if (added >= 0) {
          assert.ok(![...twin.values()].includes(added), "a row in use");
          assert.equal(index.port[added], port);
          assert.equal(index.words[added * 4 + 3], address);
          twin.set(key, added);
        }
      }
      assert.equal(index.size, twin.size);
    }
  }
});

Deno.test("endpoints that differ in one word or the port have rows of their own", () => {
  const index = new EndpointIndex(16, 1);
  const rows = new Set<number>();
  for (let word = 0; word < 4; word++) {
    const address = new Int32Array(6);
    address[word + 1] = 1;
    rows.add(index.add(address, 1, 53));
  }
  rows.add(index.add(words(0), 0, 53));
  rows.add(index.add(words(0), 0, 54));
  assert.equal(rows.size, 6);
});
