/** `sluice client` that is killed: what stays shut, what is undone by the next start and by --reset. */
import assert from "node:assert/strict";
import {
  ask,
  type ClientLab,
  makeClientLab,
  makeProgram,
  SEEN,
  seenByDns,
  seenByTcp,
  startClient,
  tunnelIs,
  wireguardTunnel,
} from "../support/client_lab.ts";
import { e2eTest } from "../support/e2e.ts";
import { OUTSIDE } from "../support/gateway_net.ts";
import { hostState } from "../support/host_state.ts";

const NEEDS = [
  "tun",
  "wireguard-go",
  { program: "wg" },
  { program: "nc" },
  { program: "nft" },
] as const;

function config(place: ClientLab, persist: boolean): Record<string, unknown> {
  return {
    tunnels: [wireguardTunnel(place)],
    rules: [{ process: "alpha", tunnel: "wg" }],
    default: "direct",
    killSwitch: { persist },
  };
}

/** The packet filter of a host as text. */
async function filters({ host }: ClientLab): Promise<string> {
  return (await host.run(["nft", "list", "ruleset"])).stdout;
}

await e2eTest({
  name:
    "client: killed without a persistent kill switch, traffic flows as before; --reset undoes the rest",
  needs: NEEDS,
  run: async (lab) => {
    const place = await makeClientLab(lab);
    const { host } = place;
    const alpha = await makeProgram(lab, "/usr/bin/nc", "alpha");
    const before = await hostState(host);
    const client = await startClient(place, config(place, false));
    await tunnelIs(host, "wg", "up");
    assert.equal(await seenByTcp(host, alpha, OUTSIDE.first), SEEN.wireguard);
    client.signal("SIGKILL");
    await client.waitForExit();
    assert.equal(await filters(place), "", "the kernel has opened the doors");
    assert.equal(await seenByTcp(host, alpha, OUTSIDE.first), SEEN.direct);
    const reset = await ask(host, "client", "--reset");
    assert.equal(reset.code, 0, reset.stderr);
    assert.match(reset.stderr, /resolv\.conf/);
    assert.deepEqual(await hostState(host), before);
    const again = await ask(host, "client", "--reset");
    assert.equal(again.stderr, "nothing was left\n");
  },
});

await e2eTest({
  name:
    "client: killed with a persistent kill switch, nothing leaves until it is started again, or reset",
  needs: NEEDS,
  run: async (lab) => {
    const place = await makeClientLab(lab);
    const { host } = place;
    const [alpha, gamma] = await Promise.all([
      makeProgram(lab, "/usr/bin/nc", "alpha"),
      makeProgram(lab, "/usr/bin/nc", "gamma"),
    ]);
    const before = await hostState(host);
    const first = await startClient(place, config(place, true));
    await tunnelIs(host, "wg", "up");
    first.signal("SIGKILL");
    await first.waitForExit();
    for (const program of [alpha, gamma]) {
      assert.equal(await seenByTcp(host, program, OUTSIDE.first), undefined);
    }
    const second = await startClient(place, config(place, true));
    await tunnelIs(host, "wg", "up");
    assert.equal(await seenByTcp(host, alpha, OUTSIDE.first), SEEN.wireguard);
    assert.equal(await seenByTcp(host, gamma, OUTSIDE.first), SEEN.direct);
    const refused = await ask(host, "client", "--reset");
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /a client runs/);
    second.signal("SIGKILL");
    await second.waitForExit();
    assert.equal(await seenByTcp(host, gamma, OUTSIDE.first), undefined);
    const reset = await ask(host, "client", "--reset");
    assert.equal(reset.code, 0, reset.stderr);
    assert.match(reset.stderr, /kill switch lifted/);
    assert.equal(await filters(place), "");
    assert.equal(await seenByTcp(host, gamma, OUTSIDE.first), SEEN.direct);
    assert.deepEqual(await hostState(host), before);

    const third = await startClient(place, config(place, true));
    assert.equal(await third.stop(), 0);
    assert.equal(await filters(place), "", "an end by signal lifts it");
    assert.deepEqual(await hostState(host), before);
  },
});

await e2eTest({
  name:
    "client: killed by a reboot, what outlives that is put back by the next start",
  needs: [...NEEDS, { program: "dig" }],
  run: async (lab) => {
    const place = await makeClientLab(lab);
    const { host } = place;
    const dig = await makeProgram(lab, "/usr/bin/dig", "gamma-dig");
    const before = await hostState(host);
    const first = await startClient(place, config(place, true));
    await tunnelIs(host, "wg", "up");
    first.signal("SIGKILL");
    await first.waitForExit();
    // The kernel's part is gone, /run is empty; files on disk are as they were.
    await host.run([
      ...["sh", "-ec"],
      [
        "nft flush ruleset",
        "for family in -4 -6; do",
        "  for rule in $(ip $family rule | sed -n 's/:.*lookup 20929.*//p'); do",
        "    ip $family rule del pref $rule; done; done",
        "rm -rf /run/sluice",
        "cat /proc/sys/kernel/random/uuid > /run/boot_id",
        "mount --bind /run/boot_id /proc/sys/kernel/random/boot_id",
      ].join("\n"),
    ]);
    assert.notDeepEqual(await hostState(host), before, "resolv.conf is ours");
    const second = await startClient(place, config(place, true));
    await tunnelIs(host, "wg", "up");
    assert.equal(await seenByDns(host, dig), SEEN.direct);
    assert.equal(await second.stop(), 0);
    assert.equal(await filters(place), "");
    assert.deepEqual(await hostState(host), before);
  },
});
