/** What the program changes on the host is undone, at its end or at the next start. */
import assert from "node:assert/strict";
import { e2eTest } from "../support/e2e.ts";
import { hostState } from "../support/host_state.ts";
import { generateKeyPair } from "../support/keys.ts";
import {
  joinByWireguardGo,
  startScenario,
  WIREGUARD_NEEDS,
} from "../support/scenario.ts";
import { makeGatewayNet } from "../support/gateway_net.ts";
import {
  connectTo,
  makeClient,
  PORT,
  startConnect,
  startServer,
  TUNNEL,
} from "../support/sluice.ts";
import { wgShow } from "../support/wireguard_go.ts";

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  await e2eTest({
    name: `cleanup: ${signal} undoes everything, exit code 0`,
    needs: ["tun", { program: "ping" }],
    run: async (lab) => {
      const net = await makeGatewayNet(lab);
      const [place] = net.clients;
      const client = await makeClient(1);
      const before = [
        await hostState(net.gateway),
        await hostState(place.namespace),
      ];
      const server = await startServer(net.gateway, { clients: [client] });
      const connection = await connectTo(server, place, client);
      await place.namespace.waitUntilReaches(TUNNEL.gateway);
      assert.notDeepEqual(await hostState(net.gateway), before[0]);
      assert.notDeepEqual(await hostState(place.namespace), before[1]);

      for (const { process } of [connection, server]) {
        process.signal(signal);
        assert.equal(await process.waitForExit(), 0, process.tail());
      }
      assert.deepEqual(await hostState(net.gateway), before[0]);
      assert.deepEqual(await hostState(place.namespace), before[1]);
    },
  });
}

await e2eTest({
  name: "cleanup: after kill -9 the next start works and leaves nothing behind",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { net, server, clients } = await startScenario(lab);
    const [place] = net.clients;
    const tunnel = await joinByWireguardGo(server, place, clients[0]);
    server.process.signal("SIGKILL");
    await server.process.waitForExit();

    const again = await startServer(net.gateway, {
      clients,
      keys: server.keys,
    });
    assert.equal(
      (await wgShow(net.gateway, again.interfaceName)).size,
      1,
      "wg finds the new socket",
    );
    await tunnel.process.stop();
    await joinByWireguardGo(again, place, clients[0]);
    assert.equal(await again.process.stop(), 0);
    const left = (await hostState(net.gateway)).filter((line) =>
      /sluice|wireguard/.test(line)
    );
    assert.deepEqual(left, []);
  },
});

await e2eTest({
  name: "cleanup: after kill -9 of connect the next start undoes what it left",
  needs: ["tun", { program: "ping" }],
  run: async (lab) => {
    const net = await makeGatewayNet(lab);
    const [place] = net.clients;
    const client = await makeClient(1);
    const server = await startServer(net.gateway, { clients: [client] });
    const before = await hostState(place.namespace);
    for (const end of ["SIGKILL", "SIGTERM"] as const) {
      const connection = await connectTo(server, place, client, {
        allowedIps: ["0.0.0.0/0", "::/0"],
      });
      await place.namespace.waitUntilReaches("198.51.100.10", 10_000);
      connection.process.signal(end);
      await connection.process.waitForExit();
    }
    assert.deepEqual(await hostState(place.namespace), before);
  },
});

await e2eTest({
  name: "cleanup: a start that fails half-way leaves nothing behind",
  needs: ["tun"],
  run: async (lab) => {
    const { clients: [place] } = await makeGatewayNet(lab);
    const before = await hostState(place.namespace);
    const client = await makeClient(1);
    const { publicKey } = await generateKeyPair();
    // The endpoint's name does not resolve: known only after the start.
    await assert.rejects(startConnect(place.namespace, {
      client,
      serverKey: publicKey,
      endpoint: `nowhere.invalid:${PORT}`,
    }));
    assert.deepEqual(await hostState(place.namespace), before);
  },
});
