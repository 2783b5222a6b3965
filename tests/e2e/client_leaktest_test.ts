/** `sluice leaktest` beside `sluice client`, with a peer in the internet. */
import assert from "node:assert/strict";
import {
  ask,
  makeClientLab,
  SEEN,
  startClient,
  tunnelIs,
  wireguardTunnel,
} from "../support/client_lab.ts";
import { e2eTest } from "../support/e2e.ts";
import { OUTSIDE } from "../support/gateway_net.ts";
import { spawnSluice } from "../support/sluice.ts";

await e2eTest({
  name:
    "leaktest: no leak with a client that works, a leak where traffic goes past it",
  needs: ["tun", "wireguard-go", { program: "wg" }, { program: "ping" }],
  run: async (lab) => {
    const place = await makeClientLab(lab);
    const { host } = place;
    const peer = spawnSluice(place.net.internet, "leaktest", {
      args: [
        "leaktest",
        "--serve",
        ...["--listen", OUTSIDE.first, "--listen", OUTSIDE.first6],
        ...["--port", "7737", "--dns-port", "5353"],
      ],
    });
    await peer.waitForLine(/leak test peer at/);
    const config = {
      tunnels: [wireguardTunnel(place)],
      rules: [
        { process: "matched", tunnel: "wg" },
        { process: "dropped", tunnel: "drop" },
      ],
      default: "direct",
    };
    const client = await startClient(place, config);
    await tunnelIs(host, "wg", "up");
    const test = () =>
      ask(
        host,
        ...["leaktest", OUTSIDE.first, OUTSIDE.first6, "--json"],
        ...["--as", "matched", "--as", "dropped", "--dns-port", "5353"],
      );
    const good = await test();
    assert.equal(good.code, 0, good.stdout + good.stderr);
    const { direct, results } = JSON.parse(good.stdout);
    assert.deepEqual(direct, { 4: SEEN.direct, 6: SEEN.direct6 });
    const sources = (program: string, kind: string, family: number) =>
      results.find((
        { probe }: { probe: { program: string; kind: string; family: number } },
      ) =>
        probe.program === program && probe.kind === kind &&
        probe.family === family
      ).sources;
    for (const kind of ["TCP", "UDP", "UDP fragments", "DNS", "ping"]) {
      assert.deepEqual(sources("matched", kind, 4), [SEEN.wireguard], kind);
      assert.deepEqual(sources("matched", kind, 6), [SEEN.wireguard6], kind);
      assert.deepEqual(sources("dropped", kind, 4), [], kind);
      assert.deepEqual(
        sources("sluice-leaktest-unmatched", kind, 4),
        [SEEN.direct],
        kind,
      );
    }
    assert.equal(await client.stop(), 0);

    // A hole: what goes to the peer asks the host's own table, and no kill
    // switch is there to notice.
    await host.ip(`rule add priority 100 to ${OUTSIDE.first} lookup main`);
    const open = await startClient(place, {
      ...config,
      killSwitch: { enabled: false },
    });
    await tunnelIs(host, "wg", "up");
    const bad = await ask(
      host,
      ...["leaktest", OUTSIDE.first, "--as", "matched", "--dns-port", "5353"],
    );
    assert.equal(bad.code, 1, bad.stdout);
    assert.match(
      bad.stdout,
      /^matched +TCP +IPv4 +tunnel wg +LEAK: arrived from 10\.2\.0\.1, as direct$/m,
    );
    assert.match(bad.stderr, /traffic left outside its tunnel/);
    assert.equal(await open.stop(), 0);
  },
});
