/** What outbounds lead to, over real rings; packet tunnels are a fake. */
import assert from "node:assert/strict";
import { ClientDialers } from "../../src/cli/client_dialers.ts";
import type { PostedDialer } from "../../src/cli/client_outbounds.ts";
import type { ClientTunnel } from "../../src/cli/client_tunnel.ts";
import { ClientWays } from "../../src/cli/client_ways.ts";
import { OwnSockets } from "../../src/cli/own_sockets.ts";
import { PendingMessages } from "../../src/cli/pending_messages.ts";
import {
  OUTBOUNDS,
  type PacketTunnelSetup,
} from "../../src/control/client_engine.ts";
import { ClientMessage } from "../../src/core/columns/client_message.ts";
import { RelayMessage } from "../../src/core/columns/relay_message.ts";
import { Ring } from "../../src/core/columns/ring.ts";
import { parseAddress } from "../../src/core/wire/address.ts";
import { decodeRingJson } from "../../src/datapath/ring_json.ts";
import type { DialerSetup, PassRule } from "../../src/io/ports.ts";

const PROXY: DialerSetup = {
  kind: "socks5",
  proxy: {
    host: "192.0.2.7",
    words: Int32Array.from(parseAddress("192.0.2.7")!),
    port: 1080,
  },
};
/** Its peers don't matter here. */
const TUNNEL = {} as PacketTunnelSetup;
const RULES: PassRule[] = [{ kind: "dhcp" }];

type Posted = { kind: number; outbound: number; setup?: DialerSetup };

/** The control thread's end of a ring, and what a worker would read there. */
function channel() {
  const ring = new Ring(new ArrayBuffer(Ring.byteLength(1 << 14)), 1 << 14);
  const read = () => {
    const found: Posted[] = [];
    ring.read((kind, outbound, _b, bytes, at, length) => {
      const setup = length === 0
        ? undefined
        : decodeRingJson<PostedDialer>(bytes, at, length).setup;
      found.push(
        setup === undefined ? { kind, outbound } : { kind, outbound, setup },
      );
    });
    return found;
  };
  return { messages: new PendingMessages(ring, () => {}), read };
}

function world() {
  const calls: unknown[][] = [];
  const attached = new Set<number>();
  const stack = channel();
  const relay = channel();
  // Without marks: sockets are bound to the interface that leads there.
  const routes = { towards: 3 };
  const ownSockets = new OwnSockets({
    ownPackets: "bound",
    network: {
      egressFor: () => ({ interfaceIndex: routes.towards, source: undefined }),
    },
    mark: 0,
  });
  const ways = new ClientWays({
    tunnels: {
      attach: (outbound) => void attached.add(outbound),
      detach: (outbound) => {
        attached.delete(outbound);
        return Promise.resolve();
      },
      get: (outbound) =>
        attached.has(outbound) ? {} as ClientTunnel : undefined,
      passRules: () => RULES,
      followRoutes: () => void calls.push(["tunnels follow"]),
    },
    dialers: new ClientDialers(ownSockets, relay.messages),
    ownSockets,
    devices: {
      loosen: (index) => void calls.push(["loosen", index]),
      outside: {
        setInterface: (family, index) =>
          void calls.push(["outside", family, index]),
      },
    },
    commands: stack.messages,
    capture: { setPassed: (name, rules) => void calls.push([name, rules]) },
    egress: { ipv4: 2, ipv6: 5 },
  });
  return { ways, calls, stack, relay, routes };
}

Deno.test("the direct way leaves by the egress, and by another one from then on", () => {
  const { ways, calls, stack, relay } = world();
  const direct = (ipv4: number, ipv6: number) => ({
    kind: RelayMessage.Attach,
    outbound: 0,
    setup: {
      kind: "direct",
      origin: { interfaceIndex: ipv4 },
      origin6: { interfaceIndex: ipv6 },
    },
  });
  ways.openDirect();
  assert.deepEqual(calls.splice(0), [["outside", 6, 5]]);
  assert.deepEqual(relay.read(), [direct(2, 5)]);
  ways.setEgress({ ipv4: 2, ipv6: 5 });
  assert.deepEqual(calls.splice(0), [["tunnels follow"]]);
  assert.deepEqual([relay.read(), stack.read()], [[], []], "nothing changed");
  ways.setEgress({ ipv4: 7, ipv6: undefined });
  // Without a route nothing leaves: loopback.
  assert.deepEqual(calls, [
    ["tunnels follow"],
    ["loosen", 7],
    ["loosen", 1],
    ["outside", 4, 7],
    ["outside", 6, 1],
  ]);
  assert.deepEqual(relay.read(), [direct(7, 1)]);
  assert.deepEqual(stack.read(), [
    { kind: ClientMessage.ResetDirect, outbound: 0 },
  ]);
});

Deno.test("an outbound has one way; direct and numbers beyond have none to attach", () => {
  const { ways, relay } = world();
  for (const outbound of [0, -1, OUTBOUNDS]) {
    assert.throws(() => ways.attachProxy(outbound, PROXY), RangeError);
    assert.throws(() => ways.attachPacketTunnel(outbound, TUNNEL), RangeError);
  }
  assert.throws(() => ways.attachProxy(1, { kind: "direct" }), /no proxy/);
  assert.deepEqual(relay.read(), []);
  ways.attachProxy(1, PROXY);
  ways.attachPacketTunnel(2, TUNNEL);
  for (const outbound of [1, 2]) {
    assert.throws(() => ways.attachProxy(outbound, PROXY), /already/);
    assert.throws(() => ways.attachPacketTunnel(outbound, TUNNEL), /already/);
  }
});

Deno.test("a proxy starts where routes lead, follows them, and goes from both workers", async () => {
  const { ways, stack, relay, routes } = world();
  const attach = (interfaceIndex: number) => ({
    kind: RelayMessage.Attach,
    outbound: 1,
    setup: { ...PROXY, origin: { interfaceIndex } },
  });
  ways.attachProxy(1, PROXY);
  assert.deepEqual(relay.read(), [attach(3)]);
  ways.setEgress({ ipv4: 2, ipv6: 5 });
  assert.deepEqual(relay.read(), []);
  routes.towards = 4;
  ways.setEgress({ ipv4: 2, ipv6: 5 });
  assert.deepEqual(relay.read(), [attach(4)]);
  await ways.detach(1);
  assert.deepEqual(stack.read(), [{ kind: ClientMessage.Detach, outbound: 1 }]);
  assert.deepEqual(relay.read(), [{ kind: RelayMessage.Detach, outbound: 1 }]);
  routes.towards = 3;
  ways.setEgress({ ipv4: 2, ipv6: 5 });
  assert.deepEqual(relay.read(), [], "it is gone");
  ways.attachProxy(1, PROXY);
});

Deno.test("a capture lets packet tunnels' messages through, as they come and go", async () => {
  const { ways, calls } = world();
  ways.attachPacketTunnel(2, TUNNEL);
  await ways.detach(2);
  assert.deepEqual(calls, [["tunnels", RULES], ["tunnels", RULES]]);
  ways.attachProxy(2, PROXY);
});
