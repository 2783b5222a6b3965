import assert from "node:assert/strict";
import {
  covers,
  readTun2socksOptions,
  TUN2SOCKS_DEFAULTS,
  type Tun2socksFlags,
} from "../../src/cli/tun2socks_options.ts";
import { ExitCode, UserError } from "../../src/cli/errors.ts";
import { formatPrefix, parseAddress } from "../../src/core/wire/address.ts";

function read(flags: Partial<Tun2socksFlags>) {
  return readTun2socksOptions({
    ...TUN2SOCKS_DEFAULTS,
    ...{ route: [], exclude: [] },
    ...flags,
  });
}

Deno.test("without flags: ztun's defaults", () => {
  const options = read({});
  assert.deepEqual(options.addresses.map(formatPrefix), [
    "10.0.0.1/32",
    "fd73:6c75:6963:6600::1/128",
  ]);
  assert.equal(options.mtu, 1500);
  assert.equal(options.outbound.kind, "socks5");
  assert.deepEqual(options.routes, []);
});

Deno.test("addresses keep their prefix, IPv4 first", () => {
  const { addresses } = read({ tunIp: "10.9.0.1/24", tunIp6: "fd00::1/64" });
  assert.deepEqual(addresses.map(formatPrefix), ["10.9.0.1/24", "fd00::1/64"]);
});

Deno.test("routes: any number, and the default of both families", () => {
  const { routes } = read({
    route: ["192.0.2.0/24", "2001:db8::/32"],
    defaultRoute: true,
  });
  assert.deepEqual(routes.map(formatPrefix), [
    "192.0.2.0/24",
    "2001:db8::/32",
    "0.0.0.0/0",
    "::/0",
  ]);
  const some = read({
    route: ["192.0.2.0/24"],
    exclude: ["192.0.2.128/25"],
  });
  assert.ok(!covers(some, parseAddress("192.0.2.129")!));
  assert.ok(covers(some, parseAddress("192.0.2.7")!));
  assert.ok(!covers(some, parseAddress("192.0.3.7")!));
  assert.ok(covers({ routes, excluded: [] }, parseAddress("203.0.113.1")!));
});

Deno.test("a certificate's authority goes with a proxy by TLS alone", () => {
  const flags = { proxyCa: "ca.pem" };
  assert.equal(read({ ...flags, proxy: "https://p:1" }).proxyCa, "ca.pem");
  for (const proxy of ["http://p:1", "p:1", "direct://"]) {
    assert.throws(() => read({ ...flags, proxy }), /only a proxy .* by TLS/);
  }
});

const BAD: readonly [string, Partial<Tun2socksFlags>, RegExp][] = [
  [
    "no address",
    { tunIp: "10.0.0" },
    /--tun-ip: "10\.0\.0" is no IPv4 address/,
  ],
  ["an empty one", { tunIp: "" }, /--tun-ip: "" is no IPv4 address/],
  ["a prefix too long", { tunIp: "10.0.0.1/33" }, /is no IPv4 address/],
  ["IPv6 for IPv4", { tunIp: "fd00::1" }, /fd00::1 is an IPv6 address/],
  ["IPv4 for IPv6", { tunIp6: "10.0.0.1" }, /10\.0\.0\.1 is an IPv4 address/],
  ["a network", { tunIp: "10.0.0.0/24" }, /no adapter can have .* 10\.0\.0\.0/],
  ["multicast", { tunIp: "224.0.0.1" }, /no adapter can have/],
  ["loopback", { tunIp: "127.0.0.1" }, /no adapter can have/],
  ["link-local", { tunIp6: "fe80::1" }, /no adapter can have/],
  ["mapped", { tunIp6: "::ffff:10.0.0.1" }, /IPv4 address|no adapter can have/],
  ["MTU 575", { tunMtu: "575" }, /--tun-mtu: "575" is no MTU/],
  ["MTU 65536", { tunMtu: "65536" }, /--tun-mtu/],
  ["MTU as text", { tunMtu: "1500x" }, /--tun-mtu: "1500x" is no MTU/],
  ["a negative MTU", { tunMtu: "-1" }, /--tun-mtu/],
  ["a fraction", { tunMtu: "1e3" }, /--tun-mtu/],
  [
    "a route",
    { route: ["1.2.3.4/99"] },
    /--route: "1\.2\.3\.4\/99" is no prefix/,
  ],
  [
    "a port",
    { proxy: "127.0.0.1:70000" },
    /--proxy: port 70000 is out of range/,
  ],
  ["no port", { proxy: "socks5://127.0.0.1" }, /--proxy: .*port is missing/],
  ["a scheme", { proxy: "ftp://h:1" }, /--proxy: unknown proxy scheme "ftp"/],
];

for (const [name, flags, message] of BAD) {
  Deno.test(`refused: ${name}`, () => {
    assert.throws(() => read(flags), (error) => {
      assert.ok(error instanceof UserError);
      assert.equal(error.exitCode, ExitCode.Usage);
      assert.match(error.message, message);
      assert.ok(!error.message.includes("\n"));
      return true;
    });
  });
}

Deno.test("MTUs at the limits are taken", () => {
  assert.equal(read({ tunMtu: "576" }).mtu, 576);
  assert.equal(read({ tunMtu: "65535" }).mtu, 65535);
});
