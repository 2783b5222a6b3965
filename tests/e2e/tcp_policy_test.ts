/** TCP to the outside: dropped in silence or refused at once, counted and traced. */
import assert from "node:assert/strict";
import { Agent } from "../support/agent.ts";
import { e2eTest } from "../support/e2e.ts";
import { OUTSIDE } from "../support/gateway_net.ts";
import {
  startConnectedScenario,
  WIREGUARD_NEEDS,
} from "../support/scenario.ts";
import { dropCount, TUNNEL } from "../support/sluice.ts";

const FLOW = /TCP 10\.66\.0\.2:[0-9]+ -> 198\.51\.100\.10:80\b/;

await e2eTest({
  name: "tcp: drop gives no answer, a counter and a trace line with the flow",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { agents: [agent], outside, server } = await startConnectedScenario(
      lab,
      { config: { forward: { tcp: "drop" } }, logLevel: "trace" },
    );
    await outside.call("tcpServe", {
      address: OUTSIDE.first,
      port: 80,
      greeting: "never",
    });
    const { outcome } = await agent.call("tcpConnect", {
      address: OUTSIDE.first,
      port: 80,
      timeoutMs: 2500,
    });
    assert.equal(outcome, "no answer");
    const line = await server.process.waitForLine(FLOW);
    assert.match(line.input!, /TCP dropped by policy/);
    await server.process.stop();
    const count = dropCount(server.process, "TCP dropped by policy");
    assert.ok(count >= 2, `the SYN and its repetition: ${count}`);
  },
});

await e2eTest({
  name: "tcp: reject refuses at once, a counter and a trace line with the flow",
  needs: [...WIREGUARD_NEEDS, { program: "curl" }],
  run: async (lab) => {
    const { net, agents: [agent], server } = await startConnectedScenario(lab, {
      logLevel: "trace",
    });
    const { outcome, timeMs } = await agent.call("tcpConnect", {
      address: OUTSIDE.first,
      port: 80,
      timeoutMs: 5000,
    });
    assert.equal(outcome, "refused");
    assert.ok(timeMs < 900, `before any repetition of the SYN: ${timeMs} ms`);
    const line = await server.process.waitForLine(FLOW);
    assert.match(line.input!, /TCP rejected by policy/);
    const { stderr } = await net.clients[0].namespace.run(
      ["curl", "-sS", "-m", "5", `http://[${OUTSIDE.first6}]/`],
      { exit: "any" },
    );
    assert.match(stderr, /refused|Couldn't connect|Failed to connect/i);
    await server.process.stop();
    assert.equal(dropCount(server.process, "TCP rejected by policy"), 2);
  },
});

await e2eTest({
  name: "tcp: services of the host are reached, and not when host is deny",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    for (const host of ["allow", "deny"] as const) {
      const { net, agents: [agent], server } = await startConnectedScenario(
        lab,
        { config: { forward: { host } } },
      );
      const service = await Agent.start(net.gateway);
      await service.call("tcpServe", {
        address: TUNNEL.gateway,
        port: 8080,
        greeting: "hello from the host",
      });
      const { outcome, greeting } = await agent.call("tcpConnect", {
        address: TUNNEL.gateway,
        port: 8080,
        timeoutMs: 3000,
      });
      if (host === "allow") {
        assert.deepEqual([outcome, greeting], [
          "connected",
          "hello from the host",
        ]);
      } else {
        assert.notEqual(outcome, "connected");
      }
      await server.process.stop();
      const denied = dropCount(server.process, "host services denied");
      assert.equal(denied > 0, host === "deny");
    }
  },
});
