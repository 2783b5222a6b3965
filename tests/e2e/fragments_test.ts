/** Datagrams of 3,000 bytes each way: fragments from the client and to it. */
import assert from "node:assert/strict";
import { Capture } from "../support/capture.ts";
import { e2eTest } from "../support/e2e.ts";
import { OUTSIDE } from "../support/gateway_net.ts";
import {
  ping,
  startConnectedScenario,
  WIREGUARD_NEEDS,
} from "../support/scenario.ts";
import { TUNNEL } from "../support/sluice.ts";

const IPV4_FRAGMENT = 0x3fff;

await e2eTest({
  name: "fragments: 3,000 bytes by UDP and by ping, to the outside and back",
  needs: [...WIREGUARD_NEEDS, { program: "tcpdump" }],
  run: async (lab) => {
    const { net, agents: [agent] } = await startConnectedScenario(lab);
    const [place] = net.clients;
    const capture = await Capture.start(place.namespace, "wg0", "ip");
    const { times } = await agent.call("udpEchoTimes", {
      address: OUTSIDE.first,
      port: 7,
      size: 3000,
      count: 10,
      timeoutMs: 2000,
    });
    assert.equal(times.length, 10);
    const pings = await ping(place, OUTSIDE.first, {
      count: 5,
      more: ["-s", "3000"],
    });
    assert.deepEqual(pings, { sent: 5, received: 5 });
    const fragments = (await capture.stop()).filter(({ bytes }) =>
      ((bytes[6] << 8 | bytes[7]) & IPV4_FRAGMENT) !== 0
    );
    // Three fragments a datagram at MTU 1420, each way, of 15 datagrams.
    assert.ok(fragments.length >= 90, `${fragments.length} fragments`);
    assert.ok(fragments.every(({ bytes }) => bytes.length <= 1420));
  },
});

await e2eTest({
  name: "fragments: 3,000 bytes to the gateway and between clients",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { net, clients, agents } = await startConnectedScenario(lab, {
      clientCount: 2,
    });
    for (
      const address of [TUNNEL.gateway, TUNNEL.gateway6, clients[1].address]
    ) {
      const result = await ping(net.clients[0], address, {
        count: 3,
        more: ["-s", "3000"],
      });
      assert.equal(result.received, 3, address);
    }
    await agents[1].call("udpEcho", { address: clients[1].address, port: 7 });
    const { times } = await agents[0].call("udpEchoTimes", {
      address: clients[1].address,
      port: 7,
      size: 3000,
      count: 5,
      timeoutMs: 2000,
    });
    assert.equal(times.length, 5);
  },
});
