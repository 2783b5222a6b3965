import assert from "node:assert/strict";
import {
  PortSequence,
  TRIES_PER_LANE,
} from "../../../src/core/flow/port_sequence.ts";

function walk(wanted: number, first: number, last: number): number[] {
  const sequence = new PortSequence();
  sequence.start(wanted, first, last);
  const ports: number[] = [];
  for (let port = sequence.next(); port >= 0; port = sequence.next()) {
    ports.push(port);
  }
  return ports;
}

Deno.test("the wanted port comes first, then its parity, then the other", () => {
  const ports = walk(40001, 1024, 65535);
  assert.equal(ports[0], 40001);
  const parities = ports.map((port) => port & 1);
  assert.equal(parities.lastIndexOf(1) + 1, parities.indexOf(0));
  assert.ok(ports.length <= 2 * TRIES_PER_LANE + 1);
});

Deno.test("a port from 1024 up never leaves its class", () => {
  for (const wanted of [1024, 1025, 65535]) {
    assert.ok(walk(wanted, 1, 65535).every((port) => port >= 1024));
  }
});

Deno.test("a port below 1024 stays there first and then goes up, with its parity first", () => {
  const ports = walk(123, 1, 65535);
  const firstHigh = ports.findIndex((port) => port >= 1024);
  assert.ok(
    firstHigh > 0 && ports.slice(0, firstHigh).every((port) => port < 1024),
  );
  assert.ok(ports.slice(firstHigh).every((port) => port >= 1024));
  assert.equal(ports[firstHigh] & 1, 1);
  assert.equal(walk(123, 1024, 65535)[0] & 1, 1);
});

Deno.test("small ranges are covered whole, nothing twice, nothing outside", () => {
  for (
    const [first, last] of [[5000, 5000], [5000, 5009], [5001, 5063], [
      1020,
      1030,
    ], [1, 10]]
  ) {
    for (const wanted of [0, 3, 999, 1024, 5003, 5004, 65535]) {
      const ports = walk(wanted, first, last);
      const expected = Array.from(
        { length: last - first + 1 },
        (_, n) => first + n,
      )
        .filter((port) => wanted < 1024 || port >= 1024);
      assert.deepEqual(
        ports.toSorted((a, b) => a - b),
        expected,
        `${wanted} in ${first}-${last}`,
      );
    }
  }
});

Deno.test("the same wish gives the same order (RFC 4787 REQ-11)", () => {
  assert.deepEqual(walk(33333, 1024, 65535), walk(33333, 1024, 65535));
});

Deno.test("privileged ports can be given up", () => {
  const sequence = new PortSequence();
  sequence.start(123, 1, 65535);
  assert.equal(sequence.next(), 123);
  sequence.skipPrivileged();
  const next = sequence.next();
  assert.ok(next >= 1024 && (next & 1) === 1);
});
