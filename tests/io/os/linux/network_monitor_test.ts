/** Changes of the network: compared snapshots, clocks, and a real namespace. */
import assert from "node:assert/strict";
import { parseAddress } from "../../../../src/core/wire/address.ts";
import type { Link, Route } from "../../../../src/io/os/network_entities.ts";
import {
  compareNetworks,
  defaultRoute,
  type NetworkSnapshot,
  withoutInterfaces,
} from "../../../../src/io/os/network_snapshot.ts";
import { SleepMeter } from "../../../../src/io/os/sleep_meter.ts";
import { testInside } from "./inside.ts";

await testInside(
  "links, addresses, default routes and resumption are told in bursts",
  {
    file: "./network_monitor_inside.ts",
    caller: import.meta.url,
    needs: [],
  },
);

function words(text: string): Int32Array {
  return Int32Array.from(parseAddress(text)!);
}

function link(index: number, name: string, running = true): Link {
  return { index, name, mtu: 1500, up: true, running };
}

function route(index: number, gateway: string | undefined, metric = 0): Route {
  return {
    family: 4,
    words: words("0.0.0.0"),
    prefixLength: 0,
    index,
    gateway: gateway === undefined ? undefined : words(gateway),
    metric,
  };
}

function snapshot(parts: Partial<NetworkSnapshot>): NetworkSnapshot {
  return { links: [], addresses: [], routes: [], ...parts };
}

function address(index: number, text: string) {
  const family = text.includes(":") ? 6 : 4;
  return { index, family, words: words(text), prefixLength: 24 } as const;
}

function told(before: NetworkSnapshot, after: NetworkSnapshot): string[] {
  return compareNetworks(before, after).map((change) => {
    switch (change.kind) {
      case "link":
        return `${change.interface} ${change.now}`;
      case "address":
        return `address on ${change.interface} ${change.now}`;
      case "defaultRoute":
        return `IPv${change.family} by ${change.interface ?? "none"}`;
      case "resume":
        return "resume";
    }
  });
}

Deno.test("what is the same is not told", () => {
  const one = snapshot({
    links: [link(1, "a")],
    addresses: [address(1, "10.0.0.1")],
    routes: [route(1, "10.0.0.2")],
  });
  assert.deepEqual(told(one, structuredClone(one)), []);
});

Deno.test("links come, go, lose their carrier, get another name", () => {
  const before = snapshot({
    links: [link(1, "a"), link(2, "b"), link(3, "c")],
  });
  const after = snapshot({
    links: [link(1, "a", false), link(3, "d"), link(4, "e")],
  });
  assert.deepEqual(told(before, after), ["b gone", "a down", "d up", "e up"]);
});

Deno.test("addresses of both families; one that moves to another interface", () => {
  const links = [link(1, "a"), link(2, "b")];
  assert.deepEqual(
    told(
      snapshot({
        links,
        addresses: [address(1, "10.0.0.1"), address(1, "fd00::1")],
      }),
      snapshot({
        links,
        addresses: [address(2, "10.0.0.1"), address(1, "fd00::1")],
      }),
    ),
    ["address on a gone", "address on b present"],
  );
});

Deno.test("the default route is the one of the lowest metric", () => {
  const links = [link(1, "wire"), link(2, "air")];
  const air = route(2, "10.1.0.1", 600);
  const wire = route(1, "10.0.0.1", 100);
  const both = snapshot({ links, routes: [air, wire] });
  assert.equal(defaultRoute(4, both), wire);
  assert.equal(defaultRoute(6, both), undefined);
  const onlyAir = snapshot({ links, routes: [air] });
  assert.deepEqual(told(both, onlyAir), ["IPv4 by air"]);
  assert.deepEqual(told(onlyAir, both), ["IPv4 by wire"]);
  assert.deepEqual(told(onlyAir, snapshot({ links })), ["IPv4 by none"]);
  const other = snapshot({ links, routes: [route(2, "10.1.0.9", 600)] });
  assert.deepEqual(told(onlyAir, other), ["IPv4 by air"]);
  const worse = snapshot({ links, routes: [air, route(1, undefined, 900)] });
  assert.deepEqual(told(onlyAir, worse), []);
});

Deno.test("interfaces that don't count take their addresses and routes along", () => {
  const whole = snapshot({
    links: [link(1, "a"), link(2, "sluice0")],
    addresses: [address(1, "10.0.0.1"), address(2, "10.8.0.1")],
    routes: [
      route(2, undefined),
      route(1, "10.0.0.9", 5),
      route(0, undefined, 9),
    ],
  });
  const left = withoutInterfaces(whole, (name) => name === "sluice0");
  assert.equal(left.links.length, 1);
  assert.deepEqual(left.addresses.map(({ index }) => index), [1]);
  assert.deepEqual(left.routes.map(({ index }) => index), [1, 0]);
});

Deno.test("sleep is what one clock counts and the other does not", () => {
  const meter = new SleepMeter({ boot: 5000, awake: 3000 });
  assert.equal(meter.slept({ boot: 6000, awake: 4000 }), 0);
  // Two clocks are never read at one moment.
  assert.equal(meter.slept({ boot: 6000.4, awake: 4000 }), 0);
  assert.equal(meter.slept({ boot: 68_000, awake: 6000 }), 60_000);
  assert.equal(meter.slept({ boot: 69_000, awake: 7000 }), 0);
  // Naps add up.
  let total = 0;
  for (let i = 1; i <= 10; i++) {
    total += meter.slept({ boot: 69_000 + i * 400, awake: 7000 + i * 200 });
  }
  assert.ok(total >= 1500 && total <= 2000, `${total}`);
});
