/**
 * What every HostNetwork must do to an interface `t0` that is there, with IPv6.
 */
import assert from "node:assert/strict";
import { formatAddress, parseAddress } from "../../src/core/wire/address.ts";
import type { HostNetwork } from "../../src/io/ports.ts";
import { interfaceConfig, type InterfaceText } from "./interface_config.ts";

/** What an interface has, as text; what the system makes itself is left out. */
export interface InterfaceState {
  readonly mtu: number;
  /** In the order of the system. */
  readonly addresses: readonly string[];
  /** `PREFIX METRIC`, sorted; metrics of one digit, which Wine reads right. */
  readonly routes: readonly string[];
}

/** An interface t0 of its own, and a network with a journal of its own. */
export interface HostNetworkBench extends Disposable {
  readonly network: HostNetwork;
  /** Names of the journal's files. */
  readonly journalFiles: readonly string[];
  state(): InterfaceState;
  /** What somebody else does to the interface; a route may have a metric. */
  readonly others: {
    addAddress(prefix: string): void;
    removeAddress(prefix: string): void;
    addRoute(route: string): void;
    removeRoute(route: string): void;
  };
}

/** How a system's benches are made. */
export interface HostNetworkSystem {
  open(): HostNetworkBench;
  /** The metric that a route of a family has where none was asked. */
  readonly metrics: { readonly ipv4: number; readonly ipv6: number };
}

const FULL = {
  name: "t0",
  addresses: ["10.77.0.1/24", "fd77::1/64"],
  routes: ["10.99.0.0/16", "10.98.0.0/16 5", "fd99::/16"],
} as const;

/** Registers the tests. */
export function testHostNetworks(system: HostNetworkSystem): void {
  const { ipv4, ipv6 } = system.metrics;
  const applied: InterfaceState = {
    mtu: 1420,
    addresses: ["10.77.0.1/24", "fd77::1/64"],
    routes: [
      "10.98.0.0/16 5",
      `10.99.0.0/16 ${ipv4}`,
      `fd99::/16 ${ipv6}`,
    ],
  };
  const test = (
    name: string,
    check: (
      bench: HostNetworkBench,
      apply: (text?: Partial<InterfaceText>) => unknown,
    ) => void,
  ) =>
    Deno.test(name, () => {
      using bench = system.open();
      check(
        bench,
        (text) => bench.network.apply(interfaceConfig({ ...FULL, ...text })),
      );
    });

  test(
    "addresses, routes and MTU are applied; twice changes nothing",
    (bench, apply) => {
      assert.deepEqual(apply(), []);
      assert.deepEqual(bench.state(), applied);
      assert.deepEqual(apply(), []);
      assert.deepEqual(bench.state(), applied);
    },
  );

  test(
    "what is no longer wanted goes, what is new comes, the rest stays",
    (bench, apply) => {
      apply();
      apply({
        mtu: 1380,
        addresses: ["10.77.0.1/24", "10.78.0.1/32"],
        routes: ["10.98.0.0/16 6", "fd99::/16", "fd98::/16"],
      });
      assert.deepEqual(bench.state(), {
        mtu: 1380,
        addresses: ["10.77.0.1/24", "10.78.0.1/32"],
        routes: ["10.98.0.0/16 6", `fd98::/16 ${ipv6}`, `fd99::/16 ${ipv6}`],
      });
    },
  );

  test(
    "another address in the same subnet, and the routes stay",
    (bench, apply) => {
      apply();
      apply({ addresses: ["10.77.0.2/24", "fd77::2/64"] });
      assert.deepEqual(bench.state(), {
        ...applied,
        addresses: ["10.77.0.2/24", "fd77::2/64"],
      });
    },
  );

  test("what somebody took away is put back", (bench, apply) => {
    apply();
    bench.others.removeRoute("fd99::/16");
    bench.others.removeAddress("10.77.0.1/24");
    apply();
    assert.deepEqual(bench.state().routes, applied.routes);
    assert.deepEqual(
      bench.state().addresses.toSorted(),
      applied.addresses,
    );
  });

  test(
    "what others added is never removed, also where we want the same",
    (bench, apply) => {
      bench.others.addAddress("10.77.0.1/24");
      bench.others.addRoute("10.99.0.0/16");
      apply();
      assert.deepEqual(bench.state(), applied);
      bench.network.reset();
      const { addresses, routes } = bench.state();
      assert.deepEqual({ addresses, routes }, {
        addresses: ["10.77.0.1/24"],
        routes: [`10.99.0.0/16 ${ipv4}`],
      });
    },
  );

  test(
    "reset undoes all of it, journal included, and can be repeated",
    (bench, apply) => {
      const before = bench.state();
      apply();
      assert.deepEqual(bench.journalFiles, [`${Deno.pid}.json`]);
      bench.network.reset();
      assert.deepEqual(bench.state(), before);
      assert.deepEqual(bench.journalFiles, []);
      bench.network.reset();
      apply();
      assert.deepEqual(bench.state(), applied);
    },
  );

  test(
    "an interface that is to be down has no routes",
    (bench, apply) => {
      apply({ up: false });
      assert.deepEqual(bench.state().routes, []);
      apply();
      assert.deepEqual(bench.state(), applied);
    },
  );

  test("host bits of a route are cleared", (bench, apply) => {
    const routes = ["10.99.3.4/16", "fd99::5/16"];
    apply({ routes });
    assert.deepEqual(
      bench.state().routes,
      [`10.99.0.0/16 ${ipv4}`, `fd99::/16 ${ipv6}`],
    );
    apply({ routes });
  });

  test("a missing interface is an error", (_bench, apply) => {
    assert.throws(
      () => apply({ name: "nosuch0" }),
      /no interface named nosuch0/,
    );
  });

  test(
    "an MTU that IPv6 does not exist with leaves its part out",
    (bench, apply) => {
      apply();
      const omitted = ["fd77::1/64", "fd99::/16"];
      assert.deepEqual(apply({ mtu: 1200 }), [
        { kind: "ipv6-off", reason: "mtu", interface: "t0", omitted },
      ]);
      assert.deepEqual(bench.state().addresses, ["10.77.0.1/24"]);
    },
  );

  test(
    "the way towards a destination is the system's choice",
    (bench, apply) => {
      apply();
      const from = (to: string) => {
        const egress = bench.network.egressFor(parseAddress(to)!);
        return egress?.source && formatAddress(egress.source);
      };
      assert.equal(from("10.99.0.9"), "10.77.0.1");
      assert.equal(from("fd99::9"), "fd77::1");
      assert.equal(
        bench.network.egressFor(parseAddress("10.99.0.9")!)?.interfaceIndex,
        bench.network.interfaceIndex("t0"),
      );
      assert.equal(
        bench.network.egressFor(parseAddress("10.77.0.1")!)?.interfaceIndex,
        1,
      );
      assert.equal(from("203.0.113.9"), undefined);
    },
  );
}
