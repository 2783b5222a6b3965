/** How long connections through the gateway's proxy live, and how many there may be. */
import assert from "node:assert/strict";
import { Agent } from "../support/agent.ts";
import { e2eTest } from "../support/e2e.ts";
import { makeGatewayNet, OUTSIDE } from "../support/gateway_net.ts";
import { hostState } from "../support/host_state.ts";
import { joinByWireguardGo, WIREGUARD_NEEDS } from "../support/scenario.ts";
import { dropCount, makeClient, startServer } from "../support/sluice.ts";
import { assertHears, TcpListener } from "../support/tcp_pair.ts";
import {
  startTcpProxy,
  tcpFigures,
  waitUntilIdle,
} from "../support/tcp_proxy.ts";
import { pause } from "../support/wait.ts";

const CROWD = { address: OUTSIDE.first, port: 8000 } as const;
/** Ends that are neither finished nor still open. */
const RESET = "ConnectionReset";

await e2eTest({
  name: "tcp proxy: an idle connection ends for both, a busy one goes on",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { agents: [agent], outside, server } = await startTcpProxy(lab, {
      tcpProxy: { idleTimeout: "3s" },
    });
    const listener = await TcpListener.open(outside, OUTSIDE.first);
    const idle = await listener.connect(agent);
    const busy = await listener.connect(agent);
    await assertHears(idle.near, idle.far, "then nothing");
    let isOver = false;
    const ends = Promise.all([idle.near.receive(), idle.far.receive()])
      .finally(() => isOver = true);
    // The clock of the busy one begins anew with each word, either way.
    for (let word = 0; !isOver; word++) {
      const { near, far } = busy;
      const [from, to] = word % 2 === 0 ? [near, far] : [far, near];
      await assertHears(from, to, `word ${word}`);
      await pause(20);
    }
    for (const { state } of await ends) assert.equal(state, RESET);
    await assertHears(busy.near, busy.far, "still here");
    const { open } = await tcpFigures(server.process);
    assert.equal(open, 1);
    await Promise.all([busy.near.close(), busy.far.close()]);
    await waitUntilIdle(server.process);
    await server.process.stop();
    assert.match(server.process.text, /TCP ended: .*idle 1$/m);
  },
});

await e2eTest({
  name: "tcp proxy: one client's limit is its own, and room comes back",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const most = 20;
    const { agents, outside, server } = await startTcpProxy(lab, {
      clientCount: 2,
      tcpProxy: { maxConnectionsPerPeer: most },
    });
    await outside.call("crowdServe", { ...CROWD, kind: "echo" });
    const open = (agent: Agent, count: number) =>
      agent.call("crowdOpen", { ...CROWD, count, together: 8 });
    assert.deepEqual(await open(agents[0], most), { open: most, errors: {} });
    const { outcome } = await agents[0].call("streamOpen", {
      ...CROWD,
      timeoutMs: 1500,
    });
    assert.equal(outcome, "no answer", "over the limit");
    assert.deepEqual(await open(agents[1], most), { open: most, errors: {} });
    for (const agent of agents) {
      const { echoed } = await agent.call("crowdEcho", { timeoutMs: 20_000 });
      assert.equal(echoed, most);
    }
    await agents[0].call("crowdClose", { how: "finish" });
    assert.deepEqual(await open(agents[0], most), { open: most, errors: {} });
    for (const agent of agents) {
      await agent.call("crowdClose", { how: "finish" });
    }
    await waitUntilIdle(server.process);
    await server.process.stop();
    assert.ok(dropCount(server.process, "TCP limit of the peer") >= 1);
  },
});

await e2eTest({
  name: "tcp proxy: a peer that is removed leaves no connection",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { net, agents, outside, server, clients } = await startTcpProxy(lab, {
      clientCount: 2,
    });
    const listener = await TcpListener.open(outside, OUTSIDE.first);
    const [gone, stays] = [
      await listener.connect(agents[0]),
      await listener.connect(agents[1]),
    ];
    await assertHears(gone.near, gone.far, "before");
    await assertHears(stays.near, stays.far, "before");
    await net.gateway.run([
      "wg",
      ...["set", server.interfaceName, "peer", clients[0].publicKey, "remove"],
    ]);
    assert.equal((await gone.far.receive()).state, RESET);
    await assertHears(stays.far, stays.near, "after");
    await Promise.all([stays.near.close(), stays.far.close()]);
    await waitUntilIdle(server.process);
  },
});

await e2eTest({
  name:
    "tcp proxy: the server's end ends connections, and nothing is left of it",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const net = await makeGatewayNet(lab);
    const before = await hostState(net.gateway);
    const client = await makeClient(1);
    const server = await startServer(net.gateway, {
      clients: [client],
      config: { forward: { tcp: "proxy" } },
    });
    const [place] = net.clients;
    await joinByWireguardGo(server, place, client);
    const [near, outside] = await Promise.all([
      Agent.start(place.namespace),
      Agent.start(net.internet),
    ]);
    const listener = await TcpListener.open(outside, OUTSIDE.first);
    const pair = await listener.connect(near);
    await assertHears(pair.near, pair.far, "before the end");
    assert.equal(await server.process.stop(10_000), 0);
    for (const end of [pair.near, pair.far]) {
      assert.notEqual((await end.receive()).state, "open");
    }
    assert.deepEqual(await hostState(net.gateway), before);
  },
});
