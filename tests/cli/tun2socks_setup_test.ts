import assert from "node:assert/strict";
import { UserError } from "../../src/cli/errors.ts";
import {
  chooseRelayPlace,
  mayCircle,
  outsideOrigin,
  tunInterface,
} from "../../src/cli/tun2socks_setup.ts";
import {
  readTun2socksOptions,
  TUN2SOCKS_DEFAULTS,
  type Tun2socksFlags,
} from "../../src/cli/tun2socks_options.ts";
import {
  type AddressWords,
  formatAddress,
  formatPrefix,
  parseAddress,
} from "../../src/core/wire/address.ts";
import type {
  DialerSetup,
  Egress,
  HostNetwork,
  InterfaceRoute,
} from "../../src/io/ports.ts";

const LOOPBACK = 1, ETHERNET = 2;

function options(flags: Partial<Tun2socksFlags> = {}) {
  return readTun2socksOptions({
    ...TUN2SOCKS_DEFAULTS,
    ...{ route: [], exclude: [] },
    ...flags,
  });
}

/** A host whose way to an address is what a test says. */
function host(
  interfaceTowards: (address: string) => number | undefined,
): HostNetwork {
  return {
    egressFor: (words: AddressWords): Egress | undefined => {
      const interfaceIndex = interfaceTowards(formatAddress(words));
      return interfaceIndex === undefined
        ? undefined
        : { interfaceIndex, source: undefined };
    },
    interfaceIndex: (name: string) => name === "eth5" ? 5 : undefined,
  } as HostNetwork;
}

function socks(address: string): DialerSetup {
  const words = Int32Array.from(parseAddress(address)!);
  return { kind: "socks5", proxy: { words, port: 1080, host: address } };
}

Deno.test("the relay takes the first place that nobody has", () => {
  const place = chooseRelayPlace(options(), host(() => ETHERNET));
  assert.equal(formatPrefix(place.ipv4), "198.18.254.1/24");
  assert.equal(formatPrefix(place.ipv6), "fd73:6c75:6963:6500::1/120");
  assert.equal(formatAddress(place.errors.address6), "fd73:6c75:6963:6500::fe");
});

Deno.test("addresses of this host, of the adapter and of routes are left alone", () => {
  const local = ["198.18.254.1", "fd73:6c75:6963:6501::1"];
  const taken = chooseRelayPlace(
    options({ tunIp: "198.18.252.7/24", route: ["198.18.251.128/25"] }),
    host((address) => local.includes(address) ? LOOPBACK : ETHERNET),
  );
  assert.equal(formatPrefix(taken.ipv4), "198.18.250.1/24");
  // A wide route does not take them: theirs are nearer ones.
  const wide = chooseRelayPlace(
    options({ route: ["198.18.0.0/15"], defaultRoute: true }),
    host(() => undefined),
  );
  assert.equal(formatPrefix(wide.ipv4), "198.18.254.1/24");
  assert.throws(
    () => chooseRelayPlace(options(), host(() => LOOPBACK)),
    UserError,
  );
});

Deno.test("a proxy that routes would cover is reached by the interface of now", () => {
  const all = options({ defaultRoute: true });
  const network = host(() => ETHERNET);
  assert.deepEqual(outsideOrigin(socks("192.0.2.7"), all, network), {
    interfaceIndex: ETHERNET,
  });
  assert.deepEqual(outsideOrigin(socks("2001:db8::7"), all, network), {
    interfaceIndex: ETHERNET,
  });
  const some = options({ route: ["203.0.113.0/24"] });
  assert.equal(outsideOrigin(socks("192.0.2.7"), some, network), undefined);
  const local = host(() => LOOPBACK);
  assert.equal(outsideOrigin(socks("127.0.0.1"), all, local), undefined);
  assert.throws(
    () => outsideOrigin(socks("192.0.2.7"), all, host(() => undefined)),
    UserError,
  );
});

Deno.test("without a proxy the sockets are always bound: to what leads to the first route", () => {
  const direct: DialerSetup = { kind: "direct" };
  const network = host((address) =>
    address.startsWith("203.0.113.") ? 7 : ETHERNET
  );
  const some = options({ route: ["203.0.113.0/24"] });
  assert.equal(outsideOrigin(direct, some, network)?.interfaceIndex, 7);
  assert.equal(
    outsideOrigin(direct, options(), network)?.interfaceIndex,
    ETHERNET,
  );
  const only6 = host((address) => address.includes(":") ? 9 : undefined);
  assert.equal(outsideOrigin(direct, options(), only6)?.interfaceIndex, 9);
  assert.throws(
    () => outsideOrigin(direct, options(), host(() => undefined)),
    UserError,
  );
});

Deno.test("--egress wins, and has to be there", () => {
  const network = host(() => ETHERNET);
  const proxy = socks("192.0.2.7");
  const named = options({ egress: "eth5" });
  assert.deepEqual(outsideOrigin(proxy, named, network), { interfaceIndex: 5 });
  assert.throws(
    () => outsideOrigin(proxy, options({ egress: "eth6" }), network),
    UserError,
  );
});

Deno.test("a proxy on this host would get its own connections by a default route", () => {
  const local = host(() => LOOPBACK);
  const all = options({ defaultRoute: true });
  assert.ok(mayCircle(socks("127.0.0.1"), all, local));
  assert.ok(!mayCircle(socks("127.0.0.1"), options(), local));
  assert.ok(!mayCircle(socks("192.0.2.7"), all, host(() => ETHERNET)));
  assert.ok(!mayCircle({ kind: "direct" }, all, local));
});

Deno.test("routes come last, a default route as two halves of each family", () => {
  const all = options({ defaultRoute: true, route: ["192.0.2.0/24"] });
  const place = chooseRelayPlace(all, host(() => ETHERNET));
  assert.deepEqual(tunInterface(all, place, "none").routes, []);
  const text = ({ words, prefixLength }: InterfaceRoute) =>
    `${formatAddress(words)}/${prefixLength}`;
  assert.deepEqual(tunInterface(all, place, "all").routes.map(text), [
    "192.0.2.0/24",
    "0.0.0.0/1",
    "128.0.0.0/1",
    "::/1",
    "8000::/1",
  ]);
  const some = options({ route: ["192.0.2.0/29"], exclude: ["192.0.2.2/31"] });
  assert.deepEqual(tunInterface(some, place, "all").routes.map(text), [
    "192.0.2.0/31",
    "192.0.2.4/30",
  ]);
  const { addresses } = tunInterface(all, place, "none");
  assert.deepEqual(
    addresses.map(({ use, family }) => [use, family]),
    [[undefined, 4], [undefined, 6], ["listen-only", 4], ["listen-only", 6]],
  );
});
