/** `sluice client` while the network under it changes. */
import assert from "node:assert/strict";
import {
  clientStatus,
  makeClientLab,
  makeProgram,
  SEEN,
  seenByTcp,
  seenByUdp,
  startClient,
  tunnelIs,
  wireguardTunnel,
} from "../support/client_lab.ts";
import { e2eTest } from "../support/e2e.ts";
import { OUTSIDE } from "../support/gateway_net.ts";
import { waitFor } from "../support/wait.ts";

const OTHER = "10.5.0.1";
const OTHER6 = "2001:db8:6::1";

await e2eTest({
  name:
    "client: the default route moves to another interface and the old one goes; the process is stopped for a while",
  needs: ["tun", "wireguard-go", { program: "wg" }, { program: "nc" }],
  run: async (lab) => {
    const place = await makeClientLab(lab);
    const { host, net } = place;
    const [alpha, gamma] = await Promise.all(
      ["alpha", "gamma"].map((name) => makeProgram(lab, "/usr/bin/nc", name)),
    );
    const client = await startClient(place, {
      tunnels: [wireguardTunnel(place)],
      rules: [{ process: "alpha", tunnel: "wg" }],
      default: "direct",
    });
    await tunnelIs(host, "wg", "up");
    const seen = () =>
      Promise.all([
        seenByTcp(host, alpha, OUTSIDE.first),
        seenByTcp(host, gamma, OUTSIDE.first),
      ]);
    const areSeen = (direct: string) =>
      waitFor(
        `both programs to be seen, the direct one as ${direct}`,
        async () => {
          const [tunnelled, own] = await seen();
          assert.ok(
            tunnelled === undefined || tunnelled === SEEN.wireguard,
            tunnelled,
          );
          return tunnelled === SEEN.wireguard && own === direct;
        },
        { timeoutMs: 20_000, intervalMs: 50 },
      );
    await areSeen(SEEN.direct);

    await lab.link(
      { namespace: host, name: "out2", addresses: [`${OTHER}/24`] },
      { namespace: net.router, name: "in2", addresses: ["10.5.0.2/24"] },
    );
    await host.ip("route replace default via 10.5.0.2 dev out2");
    await areSeen(OTHER);
    await host.ip("link set out down");
    await areSeen(OTHER);
    const { egress4, counters } = await clientStatus(host);
    assert.equal(egress4, "out2");
    assert.ok(counters.egressChanges >= 1);

    client.signal("SIGSTOP");
    assert.equal(await seenByTcp(host, gamma, OUTSIDE.first), undefined);
    client.signal("SIGCONT");
    await areSeen(OTHER);
    assert.equal(await client.stop(), 0);
  },
});

await e2eTest({
  name: "client: IPv4 and IPv6 leave by different interfaces",
  needs: ["tun", "wireguard-go", { program: "wg" }, { program: "nc" }],
  run: async (lab) => {
    const place = await makeClientLab(lab);
    const { host, net } = place;
    const [alpha, gamma] = await Promise.all(
      ["alpha", "gamma"].map((name) => makeProgram(lab, "/usr/bin/nc", name)),
    );
    await lab.link(
      {
        namespace: host,
        name: "out2",
        addresses: [`${OTHER}/24`, `${OTHER6}/64`],
      },
      {
        namespace: net.router,
        name: "in2",
        addresses: ["10.5.0.2/24", "2001:db8:6::2/64"],
      },
    );
    await host.ip("route replace ::/0 via 2001:db8:6::2 dev out2");
    const client = await startClient(place, {
      tunnels: [wireguardTunnel(place)],
      rules: [{ process: "alpha", tunnel: "wg" }],
      default: "direct",
    });
    await tunnelIs(host, "wg", "up");
    const { egress4, egress6 } = await clientStatus(host);
    assert.deepEqual([egress4, egress6], ["out", "out2"]);
    const seen = (program: string, address: string) =>
      Promise.all([
        seenByTcp(host, program, address),
        seenByUdp(host, program, address),
      ]);
    const { wireguard, wireguard6, direct } = SEEN;
    assert.deepEqual(
      await seen(gamma, OUTSIDE.first),
      [direct, direct],
    );
    assert.deepEqual(
      await seen(gamma, OUTSIDE.first6),
      [OTHER6, OTHER6],
    );
    assert.deepEqual(
      await seen(alpha, OUTSIDE.first),
      [wireguard, wireguard],
    );
    assert.deepEqual(
      await seen(alpha, OUTSIDE.first6),
      [wireguard6, wireguard6],
    );
    // Both by one again.
    await host.ip("route replace ::/0 via 2001:db8:2::2 dev out");
    await waitFor("IPv6 to leave by the first interface", async () => {
      const { egress6 } = await clientStatus(host);
      return egress6 === "out";
    });
    assert.equal(await seenByTcp(host, gamma, OUTSIDE.first6), SEEN.direct6);
    assert.equal(await client.stop(), 0);
  },
});
