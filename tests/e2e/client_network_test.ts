/** `sluice client` while the network under it changes. */
import assert from "node:assert/strict";
import {
  type ClientLab,
  clientStatus,
  SEEN,
  seenByTcp,
  seenByUdp,
  wireguardTunnel,
} from "../support/client_lab.ts";
import { clientTest } from "../support/client_scenario.ts";
import { OUTSIDE } from "../support/gateway_net.ts";
import { waitFor } from "../support/wait.ts";

const OTHER = "10.5.0.1";
const OTHER6 = "2001:db8:6::1";

const config = (place: ClientLab) => ({
  tunnels: [wireguardTunnel(place)],
  rules: [{ process: "alpha", tunnel: "wg" }],
  default: "direct",
});

await clientTest({
  name:
    "client: the default route moves to another interface and the old one goes; the process is stopped for a while",
  programs: { alpha: "nc", gamma: "nc" },
  config,
  up: ["wg"],
  run: async ({ place: { lab, net }, host, programs, client }) => {
    const { alpha, gamma } = programs;
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
  },
});

await clientTest({
  name: "client: IPv4 and IPv6 leave by different interfaces",
  programs: { alpha: "nc", gamma: "nc" },
  prepare: async ({ lab, host, net }) => {
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
  },
  config,
  up: ["wg"],
  run: async ({ host, programs: { alpha, gamma } }) => {
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
  },
});
