/** `sluice connect` on Windows, against our server and wireguard-go on Linux. */
import assert from "node:assert/strict";
import { e2eTest } from "../support/e2e.ts";
import {
  type ClientPlace,
  makeGatewayNet,
  OUTSIDE,
} from "../support/gateway_net.ts";
import { hostState } from "../support/host_state.ts";
import { generateKeyPair, generatePresharedKey } from "../support/keys.ts";
import {
  ping,
  WIREGUARD_NEEDS,
  wireguardGoServer,
} from "../support/scenario.ts";
import {
  type ClientIdentity,
  connectTo,
  makeClient,
  PORT,
  startConnect,
  startServer,
  TUNNEL,
} from "../support/sluice.ts";
import { startWireguardGo } from "../support/wireguard_go.ts";
import { startWindowsHost } from "./support/windows_host.ts";

const NEEDS = ["wine", ...WIREGUARD_NEEDS] as const;

/** Every address answers each of the pings. */
async function reaches(
  place: ClientPlace,
  addresses: readonly string[],
): Promise<void> {
  for (const address of addresses) {
    assert.deepEqual(await ping(place, address, { count: 5 }), {
      sent: 5,
      received: 5,
    }, address);
  }
}

await e2eTest({
  name: "windows connect: to our server; Ctrl+C undoes everything, exit code 0",
  needs: NEEDS,
  run: async (lab) => {
    const net = await makeGatewayNet(lab);
    const [place] = net.clients;
    const client = await makeClient(1);
    const server = await startServer(net.gateway, { clients: [client] });
    const host = await startWindowsHost(place.namespace);
    const before = await hostState(place.namespace);
    const { process } = await connectTo(server, place, client, { host });
    await place.namespace.waitUntilReaches(TUNNEL.gateway);
    await reaches(place, [TUNNEL.gateway, TUNNEL.gateway6, OUTSIDE.first]);
    process.signal("SIGINT");
    assert.equal(await process.waitForExit(), 0, process.tail());
    assert.deepEqual(await hostState(place.namespace), before);
  },
});

await e2eTest({
  name: "windows connect: to wireguard-go, with a preshared key",
  needs: NEEDS,
  run: async (lab) => {
    const { clients: [place], gateway } = await makeGatewayNet(lab);
    const { keys, client } = await startPeer(gateway);
    const host = await startWindowsHost(place.namespace);
    await startConnect(place.namespace, {
      client,
      serverKey: keys.publicKey,
      endpoint: `${place.gateway}:${PORT}`,
      host,
    });
    await place.namespace.waitUntilReaches(TUNNEL.gateway);
    await reaches(place, [TUNNEL.gateway, TUNNEL.gateway6]);
  },
});

await e2eTest({
  name: "windows connect: killed, the next start undoes what it left",
  needs: NEEDS,
  run: async (lab) => {
    const net = await makeGatewayNet(lab);
    const [place] = net.clients;
    const client = await makeClient(1);
    const server = await startServer(net.gateway, { clients: [client] });
    const host = await startWindowsHost(place.namespace);
    const before = await hostState(place.namespace);
    for (const end of ["SIGKILL", "SIGINT"] as const) {
      const { process } = await connectTo(server, place, client, {
        host,
        allowedIps: ["0.0.0.0/0", "::/0"],
      });
      await place.namespace.waitUntilReaches(OUTSIDE.first);
      process.signal(end);
      await process.waitForExit();
    }
    assert.deepEqual(await hostState(place.namespace), before);
  },
});

/** wireguard-go as the server of one client. */
async function startPeer(
  gateway: Parameters<typeof startWireguardGo>[0],
): Promise<{ keys: { publicKey: string }; client: ClientIdentity }> {
  const keys = await generateKeyPair();
  const client = await makeClient(1, { presharedKey: generatePresharedKey() });
  await startWireguardGo(gateway, wireguardGoServer(keys, [client]));
  return { keys, client };
}
