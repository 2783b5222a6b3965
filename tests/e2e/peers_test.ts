/** Peers come and go while the server runs; a first start makes all that is needed. */
import assert from "node:assert/strict";
import { e2eTest } from "../support/e2e.ts";
import { makeGatewayNet, OUTSIDE } from "../support/gateway_net.ts";
import type { Lab, Namespace } from "../support/lab.ts";
import {
  joinByWireguardGo,
  parsePing,
  startScenario,
  WIREGUARD_NEEDS,
} from "../support/scenario.ts";
import {
  PORT,
  runSluice,
  type Server,
  spawnSluice,
  TUNNEL,
} from "../support/sluice.ts";
import { waitFor } from "../support/wait.ts";
import { wgShow } from "../support/wireguard_go.ts";

async function peerCommand(
  namespace: Namespace,
  ...args: readonly string[]
): Promise<string> {
  const { code, stdout, stderr } = await runSluice(namespace, [
    "peer",
    ...args,
  ]);
  assert.equal(code, 0, stderr);
  return stdout;
}

async function peerCount(server: Server): Promise<number> {
  return (await wgShow(server.namespace, server.interfaceName)).size;
}

async function connectByFile(
  lab: Lab,
  namespace: Namespace,
  file: string,
): Promise<void> {
  const connection = spawnSluice(namespace, "connect", {
    args: ["connect", file],
    cwd: lab.directory,
  });
  await connection.waitForLine(/tunnel up:/);
}

await e2eTest({
  name: "peers: added and removed while it runs, the others notice nothing",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { net, server, clients } = await startScenario(lab, {
      clientCount: 2,
      clients: undefined,
    });
    const [first, second] = net.clients;
    await joinByWireguardGo(server, first, clients[0]);
    const stream = first.namespace.spawn("ping", [
      "ping",
      ...["-n", "-i", "0.02", OUTSIDE.first],
    ]);

    const conf = `${lab.directory}/phone.conf`;
    await peerCommand(
      net.gateway,
      ...["add", "phone", "-c", server.configPath, "--conf", conf],
      ...["--endpoint", `${second.gateway}:${PORT}`],
    );
    assert.equal((await Deno.stat(conf)).mode! & 0o777, 0o600);
    await waitFor(
      "the server to take the peer",
      async () => await peerCount(server) === 3,
    );
    await connectByFile(lab, second.namespace, conf);
    await second.namespace.waitUntilReaches(TUNNEL.gateway);
    await second.namespace.waitUntilReaches(OUTSIDE.first);

    const list = await peerCommand(
      net.gateway,
      ...["list", "-c", server.configPath],
    );
    assert.match(list, /phone/);
    assert.match(list, /client1/);
    const shown = await peerCommand(
      net.gateway,
      ...["show", "phone", "-c", server.configPath],
    );
    assert.match(shown, /10\.66\.0\.[0-9]+/);
    assert.match(shown, new RegExp(second.address.replaceAll(".", "\\.")));

    await peerCommand(
      net.gateway,
      ...["remove", "phone", "-c", server.configPath],
    );
    await waitFor(
      "the server to drop the peer",
      async () => await peerCount(server) === 2,
    );
    assert.equal(await second.namespace.reaches(TUNNEL.gateway), false);

    stream.signal("SIGINT");
    await stream.waitForExit();
    const { sent, received } = parsePing(stream.text);
    assert.ok(sent > 20);
    // The one under way at the end may be open.
    assert.ok(received >= sent - 1, `${received} of ${sent}`);
  },
});

await e2eTest({
  name:
    "peers: a first start writes a config, its first client connects by file",
  needs: ["tun", { program: "ping" }],
  run: async (lab) => {
    const net = await makeGatewayNet(lab);
    const [place] = net.clients;
    const config = `${lab.directory}/fresh.yaml`;
    const server = spawnSluice(net.gateway, "server", {
      args: ["server", "-c", config],
    });
    await server.waitForLine(/gateway up:/);
    assert.match(server.text, /fresh\.yaml/);
    assert.match(server.text, /peer add/, "it says what to do next");
    assert.equal((await Deno.stat(config)).mode! & 0o777, 0o600);

    const conf = await peerCommand(
      net.gateway,
      ...["add", "laptop", "-c", config],
      ...["--endpoint", place.gateway],
    );
    const path = await lab.write("laptop.conf", conf);
    assert.match(conf, /^\[Interface\]/m);
    assert.match(conf, /^PresharedKey = /m);
    const qr = await peerCommand(
      net.gateway,
      ...["add", "phone", "-c", config, "--qr", "--endpoint", place.gateway],
    );
    assert.ok(qr.split("\n").length > 20, "a QR code");

    // The file sends everything through the tunnel, as clients usually do.
    await connectByFile(lab, place.namespace, path);
    await place.namespace.waitUntilReaches(OUTSIDE.first);
    await place.namespace.waitUntilReaches(OUTSIDE.first6);
    assert.equal(await server.stop(), 0);
  },
});

await e2eTest({
  name: "peers: genkey, pubkey and genpsk are those of wg",
  needs: [{ program: "wg" }],
  run: async (lab) => {
    const namespace = await lab.namespace("host");
    const key = (await runSluice(namespace, ["genkey"])).stdout;
    assert.match(key, /^[A-Za-z0-9+/]{43}=\n$/);
    const ours = await runSluice(namespace, ["pubkey"], { input: key });
    const theirs = await namespace.run(["wg", "pubkey"], { input: key });
    assert.equal(ours.stdout, theirs.stdout);
    const psk = (await runSluice(namespace, ["genpsk"])).stdout;
    assert.match(psk, /^[A-Za-z0-9+/]{43}=\n$/);
    const bad = await runSluice(namespace, ["pubkey"], { input: "nonsense\n" });
    assert.notEqual(bad.code, 0);
  },
});
