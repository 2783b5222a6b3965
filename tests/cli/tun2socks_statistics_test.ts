import assert from "node:assert/strict";
import {
  formatStackStatistics,
  formatStackStatus,
  type Tun2socksSnapshot,
} from "../../src/cli/tun2socks_statistics.ts";
import { Direction } from "../../src/core/columns/counters.ts";
import { DropReason } from "../../src/core/columns/drop_reason.ts";
import { Verdict } from "../../src/core/columns/verdict.ts";
import { ProtocolClass } from "../../src/core/columns/verdict_counters.ts";
import {
  RelayCount,
  RelayCounters,
} from "../../src/datapath/relay/relay_counters.ts";
import {
  UdpCounted,
  UdpCounters,
} from "../../src/datapath/relay/udp_counters.ts";
import {
  attachTunTables,
  createTunState,
} from "../../src/datapath/tun_state.ts";

const START: Tun2socksSnapshot = {
  uptimeMs: 10_000,
  connections: 12,
  dialing: 0,
  sessions: 3,
  outBytes: 1 << 20,
  inBytes: 2 << 20,
  failed: 1,
  drops: 4,
};

Deno.test("the status line: what is open, rates, totals, and what is new", () => {
  assert.equal(
    formatStackStatus(START),
    "up 10s | TCP 12 | UDP 3 | out 0 bit/s 1.00 MiB | in 0 bit/s 2.00 MiB | failed 1 | drops 4",
  );
  const later = {
    ...START,
    uptimeMs: 12_000,
    connections: 1200,
    dialing: 7,
    inBytes: START.inBytes + 1_000_000,
    failed: 3,
  };
  assert.equal(
    formatStackStatus(later, START),
    "up 12s | TCP 1 200 (7 dialing) | UDP 3 | out 0 bit/s 1.00 MiB | in 4.00 Mbit/s 2.95 MiB | failed 3 (+2) | drops 4",
  );
});

Deno.test("all figures, a line each", () => {
  const tables = attachTunTables(createTunState({
    nat: { capacity: 4, peers: 1, remotes: 8 },
    redirects: { capacity: 4, peers: 1, generations: 1 },
    relayRingBytes: 64,
    traceRingBytes: 64,
  }));
  const relay = new RelayCounters(new ArrayBuffer(RelayCounters.byteLength));
  const udp = new UdpCounters(new ArrayBuffer(UdpCounters.byteLength));
  tables.counters.add(Direction.FromHost, 1000, 5 << 20);
  tables.counters.drop(DropReason.Multicast, 3);
  tables.verdicts.count(ProtocolClass.Tcp, Verdict.ToHost, 2048);
  tables.verdicts.count(ProtocolClass.Icmp, Verdict.ToPeer, 84);
  relay.add(RelayCount.Open, 2);
  relay.fail("refused");
  udp.add(UdpCounted.dnsQueries, 5);
  udp.add(UdpCounted.droppedRefused, 2);
  const lines = formatStackStatistics({ tables, relay, udp });
  for (
    const line of [
      "from the interface: 1 000 packets 5.00 MiB",
      "TCP to the relay: 1 packets 2.00 KiB",
      "ICMP to programs: 1 packets 84 B",
      "TCP failed: refused 1",
      "UDP mappings: 0",
      "DNS over TCP: 5 queries, 0 answers",
      "drops: multicast or broadcast 3",
      "drops: UDP refused by the proxy 2",
    ]
  ) assert.ok(lines.includes(line), `${line}\n${lines.join("\n")}`);
  assert.ok(lines.every((line) => !/undefined|NaN/.test(line)));
});
