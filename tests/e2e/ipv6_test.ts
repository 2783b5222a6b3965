/** IPv6 from clients: translated where the gateway has it, else refused by an answer. */
import assert from "node:assert/strict";
import { e2eTest } from "../support/e2e.ts";
import { OUTSIDE } from "../support/gateway_net.ts";
import {
  ping,
  startConnectedScenario,
  WIREGUARD_NEEDS,
} from "../support/scenario.ts";
import { dropCount } from "../support/sluice.ts";

await e2eTest({
  name: "ipv6: ping and UDP echo outside",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { net, agents: [agent], outside } = await startConnectedScenario(lab);
    await outside.call("udpEcho", { address: OUTSIDE.first6, port: 7 });
    const result = await ping(net.clients[0], OUTSIDE.first6, { count: 5 });
    assert.equal(result.received, 5);
    for (const size of [200, 3000]) {
      const { times } = await agent.call("udpEchoTimes", {
        address: OUTSIDE.first6,
        port: 7,
        size,
        count: 10,
        timeoutMs: 2000,
      });
      assert.equal(times.length, 10, `${size} bytes`);
    }
  },
});

await e2eTest({
  name: "ipv6: refuse answers unreachable and counts",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { net, server } = await startConnectedScenario(lab, {
      config: { forward: { ipv6: "refuse" } },
    });
    const { stdout, code } = await net.clients[0].namespace.run([
      "ping",
      ...["-n", "-c", "2", "-W", "2", OUTSIDE.first6],
    ], { exit: "any" });
    assert.equal(code, 1);
    assert.match(stdout, /Destination unreachable/);
    await server.process.stop();
    assert.equal(dropCount(server.process, "IPv6 refused by policy"), 2);
  },
});
