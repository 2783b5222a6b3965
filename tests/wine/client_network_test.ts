/** `sluice client` on Windows and the network under it: names, pings, another way out, leaks. */
import assert from "node:assert/strict";
import type { ClientStatus } from "../../src/control/client_port.ts";
import { Agent } from "../support/agent.ts";
import { PLACES, SEEN, wireguardTunnel } from "../support/client_lab.ts";
import { e2eTest } from "../support/e2e.ts";
import { OUTSIDE } from "../support/gateway_net.ts";
import { spawnSluice } from "../support/sluice.ts";
import { waitFor } from "../support/wait.ts";
import { ProbeProgram, seenAs } from "./support/probe_program.ts";
import {
  ask,
  CLIENT_NEEDS,
  config,
  makePlace,
  sluice,
  startClient,
  tunnelsAreUp,
} from "./support/windows_client.ts";

await e2eTest({
  name:
    "windows client: the name of a tunnel's other end is found outside of the tunnel that all is led into; pings tell that it carries",
  needs: CLIENT_NEEDS,
  run: async (lab) => {
    const { place, machine } = await makePlace(lab);
    const resolver = await Agent.start(place.vpn);
    const name = "vpn.example";
    await resolver.call("dnsServe", {
      address: PLACES.vpn,
      addresses: { [name]: PLACES.vpn },
    });
    const { killSwitch, capture } = config(place);
    const wireguard = wireguardTunnel(place);
    const client = await startClient(place, machine, {
      tunnels: [{
        ...wireguard,
        dns: [PLACES.tunnelDns],
        health: { probe: "ping", target: "10.66.0.1", interval: "1s" },
        peers: (wireguard.peers as Record<string, unknown>[]).map((peer) => ({
          ...peer,
          endpoint: `${name}:${PLACES.vpnPort}`,
        })),
      }],
      default: "wg",
      dns: { direct: [PLACES.vpn] },
      ...{ killSwitch, capture },
    });
    await tunnelsAreUp(client, ["wg"]);
    const alpha = await ProbeProgram.start(machine, "alpha");
    assert.deepEqual(await alpha.ask(), seenAs(SEEN.wireguard));
    await place.vpn.ip("link set wg0 down");
    await client.waitForLine(/wg is down: .*does not answer pings/, {
      timeoutMs: 30_000,
    });
    assert.equal(await client.stop(), 0, client.tail());
  },
});

await e2eTest({
  name:
    "windows client: the network becomes another one, tunnel, proxy and direct traffic go on there",
  needs: CLIENT_NEEDS,
  run: async (lab) => {
    const other = "10.5.0.1";
    const { place, machine } = await makePlace(lab, {
      prepare: async ({ net, host }) => {
        await lab.link(
          { namespace: host, name: "out2", addresses: [`${other}/24`] },
          { namespace: net.router, name: "in2", addresses: ["10.5.0.2/24"] },
        );
        await host.ip("route add default via 10.5.0.2 dev out2 metric 5");
      },
    });
    const client = await startClient(place, machine, config(place));
    await tunnelsAreUp(client);
    const [alpha, beta, gamma] = await Promise.all(
      ["alpha", "beta", "gamma"].map((name) =>
        ProbeProgram.start(machine, name)
      ),
    );
    assert.deepEqual(await alpha.ask(), seenAs(SEEN.wireguard));
    assert.deepEqual(await gamma.ask(), seenAs(SEEN.direct));
    await place.host.ip("link set out down");
    await client.waitForLine(/the network is another one: IPv4 by out2/, {
      timeoutMs: 30_000,
    });
    await waitFor("all to go on", async () => {
      const [a, b, c] = await Promise.all([
        alpha.ask(),
        beta.ask(),
        gamma.ask(),
      ]);
      return a.tcp === SEEN.wireguard && a.udp === SEEN.wireguard &&
        b.tcp === SEEN.proxy && b.udp === SEEN.proxy && c.tcp === other &&
        c.udp === other;
    }, { timeoutMs: 60_000 });
    const status = await ask<ClientStatus>(machine, "status", "--json");
    assert.equal(status.egress4, "out2");
    assert.equal(await client.stop(), 0, client.tail());
  },
});

await e2eTest({
  name: "windows leaktest: no leak with a client that works",
  needs: CLIENT_NEEDS,
  run: async (lab) => {
    const { place, machine } = await makePlace(lab);
    const peer = spawnSluice(place.net.internet, "leaktest", {
      args: [
        ...["leaktest", "--serve", "--port", "7737", "--dns-port", "5353"],
        ...["--listen", OUTSIDE.first, "--listen", OUTSIDE.first6],
      ],
    });
    await peer.waitForLine(/leak test peer at/);
    const client = await startClient(place, machine, config(place));
    await tunnelsAreUp(client);
    const test = await sluice(
      machine,
      ...["leaktest", OUTSIDE.first, OUTSIDE.first6, "--json"],
      ...["--as", "alpha", "--as", "delta.exe", "--dns-port", "5353"],
    );
    assert.equal(test.code, 0, test.stdout + test.stderr);
    const { direct, results } = JSON.parse(test.stdout);
    assert.deepEqual(direct, { 4: SEEN.direct, 6: SEEN.direct6 });
    const seen: Record<string, string[]> = {};
    for (const { probe, sources } of results) {
      const { program, kind, family } = probe;
      seen[`${program} ${kind} ${family}`] = sources;
    }
    for (const kind of ["TCP", "UDP", "UDP fragments", "DNS"]) {
      assert.deepEqual(seen[`alpha.exe ${kind} 4`], [SEEN.wireguard], kind);
      assert.deepEqual(seen[`alpha.exe ${kind} 6`], [SEEN.wireguard6], kind);
      assert.deepEqual(seen[`delta.exe ${kind} 4`], [], kind);
      assert.deepEqual(
        seen[`sluice-leaktest-unmatched.exe ${kind} 4`],
        [SEEN.direct],
        kind,
      );
    }
    assert.equal(await client.stop(), 0, client.tail());
  },
});
