/** Routes that lead traffic into an interface, over a Windows network in memory. */
import assert from "node:assert/strict";
import { capturePolicy } from "../../../../src/cli/client_capture.ts";
import { parsePrefix } from "../../../../src/core/wire/address.ts";
import { prefixText } from "../../../../src/io/os/interface_change.ts";
import { policyRoutingOf } from "../../../../src/io/os/windows/policy_routing.ts";
import type { JournalEntry } from "../../../../src/io/ports.ts";
import { MemoryNetwork } from "./memory_network.ts";

const CAPTURE = 9;
const ETHERNET = 8;

function route(text: string, index: number) {
  const { family, words, length } = parsePrefix(text)!;
  return { family, words: Int32Array.from(words), prefixLength: length, index };
}

function host(families: readonly (4 | 6)[] = [4, 6]) {
  const tables = new MemoryNetwork();
  tables.addLink(ETHERNET, "Ethernet");
  tables.addLink(CAPTURE, "sluice", { families });
  const present = [
    ...["0.0.0.0/0", "192.0.2.0/24", "192.0.2.7/32", "224.0.0.0/4"],
    ...["::/0", "2001:db8:1::/64", "fe80::/64", "ff00::/8"],
  ];
  for (const text of present) tables.addRoute(route(text, ETHERNET));
  const recorded: (readonly JournalEntry[])[] = [];
  const routing = policyRoutingOf({
    tables,
    journal: {
      location: { kind: "memory", problems: [] },
      record: (_scope, entries) => void recorded.push(entries),
      leftovers: () => [],
      forget: () => {},
    },
  });
  const led = () =>
    tables.routes().filter(({ index }) => index === CAPTURE).map(prefixText);
  return { tables, routing, recorded, led };
}

function policy(allowLan: boolean) {
  const killSwitch = { allowLan } as Parameters<
    typeof capturePolicy
  >[1]["killSwitch"];
  return capturePolicy(CAPTURE, { killSwitch });
}

Deno.test("everything is led by halves, nearer than any default route", () => {
  const { routing, led, recorded, tables } = host();
  assert.deepEqual(routing.apply(policy(true)), []);
  assert.deepEqual(led(), ["0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"]);
  assert.deepEqual(recorded.at(-1)?.map((entry) => entry.kind), [
    "route",
    "route",
    "route",
    "route",
  ]);
  const asked = tables.calls.length;
  routing.apply(policy(true));
  assert.equal(tables.calls.length, asked);
  routing.reset();
  assert.deepEqual(led(), []);
  assert.deepEqual(recorded.at(-1), []);
});

Deno.test("without a rule that spares them, networks of the host are led too", () => {
  const { routing, led, tables } = host();
  routing.apply(policy(false));
  assert.deepEqual(led().toSorted(), [
    "0.0.0.0/1",
    "128.0.0.0/1",
    "192.0.2.0/25",
    "192.0.2.128/25",
    "2001:db8:1:0:8000::/65",
    "2001:db8:1::/65",
    "8000::/1",
    "::/1",
  ]);
  // Another network: its halves come, those of the old one go.
  tables.removeRoute(route("192.0.2.0/24", ETHERNET));
  tables.addRoute(route("198.51.100.0/24", ETHERNET));
  routing.apply(policy(false));
  assert.ok(led().includes("198.51.100.128/25"));
  assert.ok(!led().includes("192.0.2.0/25"));
  routing.reset();
  assert.deepEqual(led(), []);
});

Deno.test("a family that the interface lacks is told and left out", () => {
  const { routing, led } = host([4]);
  assert.deepEqual(routing.apply(policy(true)), [{
    kind: "family-off",
    family: 6,
    reason: "the interface has no IPv6",
  }]);
  assert.deepEqual(led(), ["0.0.0.0/1", "128.0.0.0/1"]);
});

Deno.test("an interface that went took its routes along", () => {
  const { routing, tables, recorded } = host();
  routing.apply(policy(true));
  tables.removeLink("sluice");
  routing.reset();
  assert.deepEqual(recorded.at(-1), []);
});
