/** Nothing that the rules forbid is on the wire, whatever happens to `sluice client`. */
import assert from "node:assert/strict";
import { SeededRandom } from "../core/columns/seeded_random.ts";
import {
  ask,
  type ClientLab,
  makeClientLab,
  PLACES,
  startClient,
  tunnelIs,
  wireguardTunnel,
} from "../support/client_lab.ts";
import { makePrograms } from "../support/client_scenario.ts";
import { e2eTest } from "../support/e2e.ts";
import { OUTSIDE } from "../support/gateway_net.ts";
import type { LoggedProcess } from "../support/process.ts";

const STEPS = 200;
const SEED = 20;
const PORT = 9999;

/** A program that never rests: TCP, UDP, whole and in pieces, pings, both families, and questions. */
function pester(
  { host }: ClientLab,
  { program, dig, ping }: Readonly<Record<"program" | "dig" | "ping", string>>,
): LoggedProcess {
  const targets = [OUTSIDE.second, OUTSIDE.first6];
  const lines = targets.flatMap((address) => [
    `printf x | ${program} -u -w 0 ${address} ${PORT}`,
    `head -c 3000 /dev/zero | ${program} -u -w 0 ${address} ${PORT}`,
    `timeout 0.5 ${program} -z -w 1 ${address} ${PORT}`,
    `timeout 0.5 ${ping} -q -c 1 -W 1 ${address} >/dev/null`,
  ]);
  return host.spawn("pester", [
    "sh",
    "-c",
    `while :; do ${lines.join("; ")}; ` +
    `${dig} +time=1 +tries=1 forbidden.example @${PLACES.dns} >/dev/null; ` +
    "sleep 0.02; done 2>/dev/null",
  ]);
}

await e2eTest({
  name:
    "client: through ups, downs, edits, kills and restarts not one packet of a blocked program is on the wire",
  needs: [
    "tun",
    "wireguard-go",
    { program: "wg" },
    { program: "nc" },
    { program: "dig" },
    { program: "ping" },
    { program: "tcpdump" },
  ],
  run: async (lab) => {
    const place = await makeClientLab(lab);
    const { host, net } = place;
    const { blocked: program, ...others } = await makePrograms(place, {
      blocked: "nc",
      "blocked-dig": "dig",
      "blocked-ping": "ping",
    });
    const config = {
      tunnels: [wireguardTunnel(place)],
      rules: [{ process: "blocked*", tunnel: "wg" }],
      default: "direct",
      killSwitch: { persist: true },
    };
    let client = await startClient(place, config);
    await tunnelIs(host, "wg", "up");
    const wire = net.router.spawn("tcpdump", [
      ...["tcpdump", "-i", "in", "-n", "-l", "--immediate-mode"],
      `port ${PORT} or (udp port 53 and net 10.2.0.0/24) or icmp or icmp6 ` +
      "or ip[6:2] & 0x3fff != 0 or ip6 proto 44",
    ]);
    await wire.waitForLine(/listening on/);
    const inside = place.vpn.spawn("tcpdump", [
      ...["tcpdump", "-i", "wg0", "-n", "-l", "--immediate-mode"],
      `port ${PORT} or udp port 53`,
    ]);
    await inside.waitForLine(/listening on/);
    pester(place, {
      program,
      dig: others["blocked-dig"],
      ping: others["blocked-ping"],
    });
    await inside.waitForLine(/UDP/);

    const seeded = new SeededRandom(SEED);
    const path = `${lab.directory}/client.yaml`;
    const steps: (() => Promise<unknown>)[] = [
      () => ask(host, "tunnel", "down", "wg"),
      () => ask(host, "tunnel", "up", "wg"),
      () => ask(host, "reload"),
      () =>
        Deno.writeTextFile(
          path,
          JSON.stringify({
            ...config,
            rules: [
              ...config.rules,
              { process: `other${seeded.below(99)}`, tunnel: "drop" },
            ],
          }),
        ),
      async () => {
        client.signal("SIGKILL");
        await client.waitForExit();
        client = await startClient(place, config);
      },
      async () => {
        await place.vpn.ip("link set wg0 down");
        await ask(host, "status");
        await place.vpn.ip("link set wg0 up");
      },
    ];
    for (let step = 0; step < STEPS; step++) {
      await steps[seeded.below(steps.length)]();
    }
    const packets = wire.lines.filter((line) => /^\d\d:\d\d:\d\d/.test(line));
    const forbidden = packets.filter((line) =>
      line.includes(`.${PORT}`) || line.includes("forbidden") ||
      /echo request|frag/.test(line)
    );
    assert.deepEqual(forbidden, []);
    // It has never rested: without the client it is on the wire at once.
    assert.equal(await client.stop(), 0);
    await wire.waitForLine(new RegExp(`\\.${PORT}`));
    await wire.waitForLine(/forbidden/);
    await wire.waitForLine(/echo request/);
    await wire.waitForLine(/frag/);
  },
});
