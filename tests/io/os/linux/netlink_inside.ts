/** Run by netlink_test.ts in a network namespace of its own. */
import assert from "node:assert/strict";
import { openLibc } from "../../../../ffi/libc.ts";
import {
  formatAddress,
  parseAddress,
  parsePrefix,
} from "../../../../src/core/wire/address.ts";
import { Netlink, NetlinkError } from "../../../../src/io/os/linux/netlink.ts";
import { ROUTE_PROTOCOL } from "../../../../src/io/os/linux/netlink_entities.ts";
import { createTun } from "../../../../src/io/os/linux/tun.ts";

const EEXIST = 17;
const ESRCH = 3;
const EINVAL = 22;
const EADDRNOTAVAIL = 99;

const libc = openLibc();

function prefix(text: string, index: number) {
  const { family, words, length } = parsePrefix(text)!;
  return { family, words: Int32Array.from(words), prefixLength: length, index };
}

function words(text: string): Int32Array {
  return Int32Array.from(parseAddress(text)!);
}

/** What iproute2 says. */
function ip(...args: string[]): string {
  const output = new Deno.Command("ip", { args }).outputSync();
  assert.ok(output.success, new TextDecoder().decode(output.stderr));
  return new TextDecoder().decode(output.stdout);
}

function throwsCode(code: number, change: () => void): NetlinkError {
  let caught: unknown;
  try {
    change();
  } catch (error) {
    caught = error;
  }
  assert.ok(caught instanceof NetlinkError, String(caught));
  assert.equal(caught.code, code, caught.message);
  return caught;
}

Deno.test("a link's state, MTU and queue are set, as ip(8) sees them", () => {
  using _tun = createTun(libc, { name: "t0", offload: "none" });
  using netlink = new Netlink(libc);
  const link = netlink.link("t0")!;
  assert.equal(link.up, false);
  netlink.setLink(link.index, { mtu: 1380, up: true, queueLength: 77 });
  assert.deepEqual(netlink.link("t0"), {
    ...link,
    mtu: 1380,
    up: true,
    running: true,
    queueLength: 77,
  });
  const [seen] = JSON.parse(ip("-json", "link", "show", "t0"));
  assert.equal(seen.mtu, 1380);
  assert.equal(seen.txqlen, 77);
  assert.ok(seen.flags.includes("UP"));
  netlink.setLink(link.index, { up: false });
  assert.equal(netlink.link("t0")!.up, false);
  assert.equal(netlink.link("t0")!.mtu, 1380);
});

Deno.test("addresses of both families are added, listed and removed", () => {
  using _tun = createTun(libc, { name: "t0", offload: "none" });
  using netlink = new Netlink(libc);
  const { index } = netlink.link("t0")!;
  const four = prefix("10.77.0.1/24", index);
  const six = prefix("fd77::1/64", index);
  netlink.addAddress(four);
  netlink.addAddress(six);
  const mine = () =>
    netlink.addresses().filter((address) => address.index === index);
  assert.deepEqual(mine(), [four, six]);
  assert.match(
    ip("address", "show", "t0"),
    /inet 10\.77\.0\.1\/24 [^]*inet6 fd77::1\/64/,
  );
  const listening = prefix("fd78::1/64", index);
  netlink.addAddress({ ...listening, use: "listen-only" });
  assert.match(
    ip("address", "show", "t0"),
    /inet6 fd78::1\/64 scope global[^\n]* deprecated[^\n]*\n *valid_lft forever preferred_lft 0sec/,
  );
  netlink.removeAddress(listening);
  throwsCode(EEXIST, () => netlink.addAddress(four));
  throwsCode(EEXIST, () => netlink.addAddress(six));
  const refused = throwsCode(
    EINVAL,
    () => netlink.addAddress({ ...four, prefixLength: 33 }),
  );
  assert.match(
    refused.message,
    /^RTM_NEWADDR 10\.77\.0\.1\/33: Invalid argument/,
  );
  assert.match(refused.message, /prefix length/);
  netlink.removeAddress(four);
  netlink.removeAddress(six);
  assert.deepEqual(mine(), []);
  throwsCode(EADDRNOTAVAIL, () => netlink.removeAddress(four));
});

Deno.test("routes are added, found by a look-up, and removed", () => {
  using _tun = createTun(libc, { name: "t0", offload: "none" });
  using netlink = new Netlink(libc);
  const { index } = netlink.link("t0")!;
  netlink.addAddress(prefix("10.77.0.1/24", index));
  netlink.addAddress(prefix("fd77::1/64", index));
  netlink.setLink(index, { up: true });
  const routes = [
    prefix("10.99.0.0/16", index),
    { ...prefix("10.98.0.0/16", index), metric: 50 },
    { ...prefix("192.0.2.0/24", index), gateway: words("10.77.0.2") },
    prefix("2001:db8::/32", index),
    { ...prefix("::/0", index), gateway: words("fd77::2"), metric: 10 },
  ];
  for (const route of routes) netlink.addRoute(route);
  const ours = () =>
    netlink.routes().filter((route) => route.protocol === ROUTE_PROTOCOL);
  assert.equal(ours().length, routes.length);
  assert.match(
    ip("route"),
    /10\.98\.0\.0\/16 dev t0 proto 83 scope link metric 50/,
  );
  assert.match(
    ip("-6", "route"),
    /default via fd77::2 dev t0 proto 83 metric 10/,
  );

  const to = (text: string) => netlink.lookup(words(text));
  assert.equal(formatAddress(to("10.99.1.1")!.source!), "10.77.0.1");
  assert.equal(to("10.99.1.1")!.index, index);
  assert.equal(formatAddress(to("192.0.2.9")!.gateway!), "10.77.0.2");
  assert.equal(formatAddress(to("2001:db8::9")!.source!), "fd77::1");
  assert.equal(formatAddress(to("2607::1")!.gateway!), "fd77::2");
  assert.equal(to("203.0.113.1"), undefined);

  throwsCode(EEXIST, () => netlink.addRoute(routes[0]));
  for (const route of routes) netlink.removeRoute(route);
  assert.deepEqual(ours(), []);
  throwsCode(ESRCH, () => netlink.removeRoute(routes[0]));
});

Deno.test("a route of somebody else's is not removed for ours", () => {
  using _tun = createTun(libc, { name: "t0", offload: "none" });
  using netlink = new Netlink(libc);
  const { index } = netlink.link("t0")!;
  netlink.setLink(index, { up: true });
  ip("route", "add", "10.99.0.0/16", "dev", "t0");
  throwsCode(ESRCH, () => netlink.removeRoute(prefix("10.99.0.0/16", index)));
  assert.match(ip("route"), /10\.99\.0\.0\/16 dev t0/);
});

Deno.test("a dump of many parts is whole", () => {
  using _tun = createTun(libc, { name: "t0", offload: "none" });
  using netlink = new Netlink(libc);
  const { index } = netlink.link("t0")!;
  netlink.setLink(index, { up: true });
  for (let i = 0; i < 2000; i++) {
    netlink.addRoute({
      ...prefix("10.0.0.0/32", index),
      words: Int32Array.of(0, 0, 0xffff, 0x0a000000 + i),
    });
  }
  const seen = netlink.routes().filter((route) =>
    route.index === index && route.family === 4
  );
  assert.equal(seen.length, 2000);
  assert.equal(new Set(seen.map((route) => route.words[3])).size, 2000);
});
