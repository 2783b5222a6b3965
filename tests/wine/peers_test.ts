/** A gateway's first hour on Windows: a config made there, clients by `sluice peer`, their state. */
import assert from "node:assert/strict";
import { e2eTest } from "../support/e2e.ts";
import { makeGatewayNet, OUTSIDE } from "../support/gateway_net.ts";
import { WIREGUARD_NEEDS } from "../support/scenario.ts";
import { PORT, spawnSluice } from "../support/sluice.ts";
import { waitFor } from "../support/wait.ts";
import { startWindowsHost } from "./support/windows_host.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;

await e2eTest({
  name:
    "windows peers: a config is made, a client added while it runs, connects by its file, is listed, goes",
  needs: ["wine", ...WIREGUARD_NEEDS],
  run: async (lab) => {
    const net = await makeGatewayNet(lab);
    const [place] = net.clients;
    const machine = await startWindowsHost(net.gateway);
    const folder = machine.driveC("sluice");
    await Deno.mkdir(folder);
    const sluice = (...args: string[]) =>
      machine.run(machine.denoRun(MAIN, ...args), { exit: "any" });

    const config = "C:\\sluice\\server.yaml";
    const server = machine.spawnSluice(["server", "-c", config]);
    await server.waitForLine(/gateway up:/, { timeoutMs: 60_000 });
    assert.match(server.text, /made C:\\sluice\\server\.yaml/);
    const mode = (await Deno.stat(`${folder}/server.yaml`)).mode!;
    // Of the group are administrators.
    assert.equal(mode & 0o007, 0, "closed to others");

    const endpoint = ["--endpoint", `${place.gateway}:${PORT}`];
    const conf = "C:\\sluice\\phone.conf";
    const added = await sluice(
      ...["peer", "add", "phone", "-c", config, "--conf", conf, ...endpoint],
    );
    assert.equal(added.code, 0, added.stderr);
    await server.waitForLine(/added phone/);

    const client = spawnSluice(place.namespace, "connect", {
      args: ["connect", `${folder}/phone.conf`],
    });
    await client.waitForLine(/tunnel up:/);
    await place.namespace.waitUntilReaches(OUTSIDE.first);
    await waitFor("the list to show the client's traffic", async () => {
      const { stdout } = await sluice("peer", "list", "-c", config, "--json");
      const [peer] = JSON.parse(stdout);
      return peer.name === "phone" && peer.lastHandshake !== null &&
        peer.receivedBytes > 0;
    }, { intervalMs: 500 });

    const removed = await sluice("peer", "remove", "phone", "-c", config);
    assert.equal(removed.code, 0, removed.stderr);
    await server.waitForLine(/removed phone/);
    assert.equal(await server.stop(), 0, server.tail());
  },
});
