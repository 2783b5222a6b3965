import assert from "node:assert/strict";
import {
  DestinationKind,
  Destinations,
  isSpecial,
} from "../../../src/core/route/destination.ts";
import { parseAddress, parsePrefix } from "../../../src/core/wire/address.ts";

function words(text: string): Int32Array {
  return Int32Array.from(parseAddress(text)!);
}

const destinations = new Destinations({
  address4: 0x0a080001,
  address6: words("fd00:8::1"),
  subnets: [
    parsePrefix("10.8.0.0/24")!,
    parsePrefix("10.9.0.0/31")!,
    parsePrefix("fd00:8::/64")!,
  ],
  outsideAddresses: Int32Array.from([
    ...words("203.0.113.5"),
    ...words("2001:db8::5"),
  ]),
});

Deno.test("kinds of destinations", () => {
  const { Gateway, Inside, Outside, HostOutside, NotForwardable } =
    DestinationKind;
  const table: [string, number][] = [
    ["10.8.0.1", Gateway],
    ["fd00:8::1", Gateway],
    ["10.8.0.2", Inside],
    ["10.8.0.255", NotForwardable],
    ["10.9.0.1", Inside],
    ["10.9.0.2", Outside],
    ["fd00:8::ffff", Inside],
    ["fd00:8:0:1::1", Outside],
    ["203.0.113.5", HostOutside],
    ["2001:db8::5", HostOutside],
    ["203.0.113.6", Outside],
    ["0.0.0.0", NotForwardable],
    ["0.1.2.3", NotForwardable],
    ["127.0.0.1", NotForwardable],
    ["169.254.1.1", NotForwardable],
    ["169.253.1.1", Outside],
    ["224.0.0.1", NotForwardable],
    ["239.255.255.250", NotForwardable],
    ["240.0.0.1", NotForwardable],
    ["255.255.255.255", NotForwardable],
    ["223.255.255.255", Outside],
    ["::", NotForwardable],
    ["::1", NotForwardable],
    ["::2", Outside],
    ["fe80::1", NotForwardable],
    ["febf::1", NotForwardable],
    ["fec0::1", Outside],
    ["ff02::1", NotForwardable],
  ];
  for (const [text, kind] of table) {
    assert.equal(destinations.kindOf(words(text), 0), kind, text);
  }
});

Deno.test("a gateway without addresses owns none, not even the unspecified", () => {
  const none = new Destinations({
    ...{ address4: 0, address6: new Int32Array(4), subnets: [] },
    outsideAddresses: new Int32Array(0),
  });
  assert.equal(
    none.kindOf(words("0.0.0.0"), 0),
    DestinationKind.NotForwardable,
  );
  assert.equal(none.kindOf(words("::"), 0), DestinationKind.NotForwardable);
  assert.equal(none.kindOf(words("10.8.0.1"), 0), DestinationKind.Outside);
});

Deno.test("special ranges from any index", () => {
  const column = Int32Array.from([...words("8.8.8.8"), ...words("ff02::1")]);
  assert.equal(isSpecial(column, 0), false);
  assert.equal(isSpecial(column, 4), true);
});
