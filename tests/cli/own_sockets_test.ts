import assert from "node:assert/strict";
import { OwnSockets } from "../../src/cli/own_sockets.ts";
import { parseAddress } from "../../src/core/wire/address.ts";
import type { AddressWords } from "../../src/core/wire/address.ts";

const LOOPBACK_INDEX = 1;
const MARK = 7;
const PROXY = Int32Array.from(parseAddress("192.0.2.7")!);
const NEAR = Int32Array.from(parseAddress("10.0.0.7")!);
const OWN = Int32Array.from(parseAddress("10.0.0.1")!);
const NOWHERE = Int32Array.from(parseAddress("2001:db8::7")!);

/** Routes of a host, asked for packets of our own. */
const network = {
  egressFor(words: AddressWords, mark?: number) {
    assert.equal(mark, MARK);
    const interfaceIndex = words === PROXY
      ? 3
      : words === NEAR
      ? 4
      : words === OWN
      ? LOOPBACK_INDEX
      : undefined;
    return interfaceIndex === undefined
      ? undefined
      : { interfaceIndex, source: undefined };
  },
};

Deno.test("own sockets: a mark, where packets are told apart by it", () => {
  const own = new OwnSockets({ ownPackets: "marked", network, mark: MARK });
  assert.deepEqual(own.towards(PROXY), { mark: MARK });
  assert.equal(own.interfaceTowards(PROXY), undefined);
  assert.deepEqual(own.direct({ ipv4: undefined, ipv6: 3 }), {
    ipv4: undefined,
    ipv6: 3,
  });
  assert.deepEqual(own.leavingBy(3), { mark: MARK, interfaceIndex: 3 });
  const none = new OwnSockets({ ownPackets: "marked", network, mark: 0 });
  assert.deepEqual(none.towards(PROXY), {});
});

Deno.test("own sockets: bound to the interface that leads there, where there are no marks", () => {
  const own = new OwnSockets({ ownPackets: "bound", network, mark: MARK });
  assert.deepEqual(own.towards(PROXY), { interfaceIndex: 3 });
  assert.deepEqual(own.towards(NEAR), { interfaceIndex: 4 });
  assert.deepEqual(own.towards(OWN), {}, "this host's own address");
  assert.deepEqual(own.towards(NOWHERE), { interfaceIndex: LOOPBACK_INDEX });
});

Deno.test("own sockets: a direct way that leads nowhere is none into the capture", () => {
  const own = new OwnSockets({ ownPackets: "bound", network, mark: MARK });
  assert.deepEqual(own.direct({ ipv4: 3, ipv6: undefined }), {
    ipv4: 3,
    ipv6: LOOPBACK_INDEX,
  });
});
