/** A client changes its address in the middle of a stream; the server follows. */
import assert from "node:assert/strict";
import { e2eTest } from "../support/e2e.ts";
import type { ClientPlace } from "../support/gateway_net.ts";
import { generateKeyPair } from "../support/keys.ts";
import type { Lab, Namespace } from "../support/lab.ts";
import {
  joinByWireguardGo,
  parsePing,
  startScenario,
  WIREGUARD_NEEDS,
  wireguardGoServer,
} from "../support/scenario.ts";
import { makeGatewayNet } from "../support/gateway_net.ts";
import { makeClient, PORT, startConnect, TUNNEL } from "../support/sluice.ts";
import { startWireguardGo, wgShow } from "../support/wireguard_go.ts";

const NEW_ADDRESS = "10.1.1.77";

/** Pings the gateway 50 times a second; moves the client half-way. */
async function roamUnderPing(place: ClientPlace): Promise<void> {
  const stream = place.namespace.spawn("ping", [
    "ping",
    ...["-n", "-c", "150", "-i", "0.02", TUNNEL.gateway],
  ]);
  await stream.waitForLine(/icmp_seq=50 /);
  await place.namespace.sysctl("net.ipv4.conf.eth0.promote_secondaries", 1);
  await place.namespace.ip(
    `address add ${NEW_ADDRESS}/24 dev eth0`,
    `address delete ${place.address}/24 dev eth0`,
  );
  await stream.waitForExit({ timeoutMs: 20_000 });
  const { sent, received } = parsePing(stream.text);
  assert.equal(sent, 150);
  // What was under way at the moment of the change may be lost, no more.
  assert.ok(received >= 147, `${received} of ${sent} answered`);
}

async function endpointOf(
  gateway: Namespace,
  name: string,
  key: string,
): Promise<string> {
  return (await wgShow(gateway, name)).get(key)!.endpoint.split(":")[0];
}

await e2eTest({
  name: "roaming: our server follows a wireguard-go client",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { net, server, clients: [client] } = await startScenario(lab);
    const [place] = net.clients;
    await joinByWireguardGo(server, place, client);
    const name = server.interfaceName;
    assert.equal(
      await endpointOf(net.gateway, name, client.publicKey),
      place.address,
    );
    await roamUnderPing(place);
    assert.equal(
      await endpointOf(net.gateway, name, client.publicKey),
      NEW_ADDRESS,
    );
  },
});

await e2eTest({
  name: "roaming: a wireguard-go server follows our client",
  needs: WIREGUARD_NEEDS,
  run: async (lab: Lab) => {
    const { gateway, clients: [place] } = await makeGatewayNet(lab);
    const [keys, client] = await Promise.all([
      generateKeyPair(),
      makeClient(1),
    ]);
    await startWireguardGo(gateway, wireguardGoServer(keys, [client]));
    await startConnect(place.namespace, {
      client,
      serverKey: keys.publicKey,
      endpoint: `${place.gateway}:${PORT}`,
    });
    await place.namespace.waitUntilReaches(TUNNEL.gateway);
    await roamUnderPing(place);
    assert.equal(
      await endpointOf(gateway, "wg0", client.publicKey),
      NEW_ADDRESS,
    );
  },
});
