import assert from "node:assert/strict";
import {
  clientRelayLimits,
  clientSizes,
  FLOW_LIMITS,
  socketsWanted,
  splitTunnelConfig,
} from "../../src/cli/split_tunnel_setup.ts";
import { chooseRelayPlace } from "../../src/cli/tun2socks_setup.ts";
import { parsePrefix } from "../../src/core/wire/address.ts";

const PLACE = chooseRelayPlace(
  { addresses: [], routes: [] },
  { egressFor: () => undefined },
);
const TUN = {
  name: "sluice1",
  address4: parsePrefix("198.18.0.1/30")!,
  address6: undefined,
  mtu: 1500,
};

function config(limits: Partial<typeof FLOW_LIMITS>) {
  return splitTunnelConfig({
    fragments: "follow",
    tun: TUN,
    place: PLACE,
    ends: {
      ipv4: { address: PLACE.ipv4, port: 7000 },
      ipv6: undefined,
    },
    limits: { ...FLOW_LIMITS, ...limits },
  });
}

Deno.test("what capture says about flows reaches table, engine and relay", () => {
  assert.equal(clientSizes({ maxFlows: 77 }).flows.capacity, 77);
  const { heldMs, maxWaiting, held, gateway } = config({
    maxHeldPackets: 100,
    holdMs: 700,
    tcpTimeoutMs: 60_000,
    udpTimeoutMs: 9000,
  });
  assert.equal(heldMs, 700);
  assert.equal(maxWaiting, 100);
  assert.equal(held.short + held.long, 100);
  assert.equal(gateway.udpTimeoutMs, 9000);
  assert.equal(gateway.relay?.establishedTimeoutMs, 60_000);
  const limits = { ...FLOW_LIMITS, tcpTimeoutMs: 60_000 };
  assert.equal(clientRelayLimits(limits).idleTimeoutMs, 60_000);
});

Deno.test("held packets: at least one, and few of those that take much memory", () => {
  for (const maxHeldPackets of [1, 7, 8, 256, 4096, 65_536]) {
    const { held } = config({ maxHeldPackets });
    assert.equal(held.short + held.long, maxHeldPackets);
    assert.ok(held.short >= 1 && held.long >= 0 && held.long <= 32);
  }
});

Deno.test("sockets wanted: two for a connection, one for a mapping, no more than there may be", () => {
  const wanted = (maxFlows: number) =>
    socketsWanted({ ...FLOW_LIMITS, maxFlows });
  assert.equal(wanted(1000), 2000);
  assert.equal(wanted(16_384), 32_768);
  assert.equal(wanted(17_384), 33_768);
  assert.equal(wanted(1_000_000), 49_152);
});
