/** Edits of the config of `sluice client` that change how things are looked after, not where they go. */
import assert from "node:assert/strict";
import {
  ask,
  type ClientLab,
  clientStatus,
  ECHO_PORT,
  PLACES,
  SEEN,
  seenByDns,
  tunnelIs,
  wireguardTunnel,
} from "../support/client_lab.ts";
import { clientTest } from "../support/client_scenario.ts";
import { OUTSIDE } from "../support/gateway_net.ts";
import { pause, waitFor } from "../support/wait.ts";

/** Writes another config and has it taken. @returns what the client says of it. */
async function reload(
  { lab, host }: ClientLab,
  config: Record<string, unknown>,
): Promise<string> {
  await Deno.writeTextFile(
    `${lab.directory}/client.yaml`,
    JSON.stringify(config),
  );
  const { code, stdout, stderr } = await ask(host, "reload");
  assert.equal(code, 0, stderr);
  return stdout + stderr;
}

const withPolicy = (place: ClientLab, policy: "follow" | "leave") => ({
  tunnels: [{ ...wireguardTunnel(place), dns: [PLACES.tunnelDns] }],
  rules: [{ process: "alpha*", tunnel: "wg" }],
  default: "direct",
  dns: { policy },
});

await clientTest({
  name: "client: DNS follows programs from a reload on, and is left again",
  programs: { "alpha-dig": "dig" },
  config: (place) => withPolicy(place, "leave"),
  up: ["wg"],
  run: async ({ place, host, programs: { "alpha-dig": dig } }) => {
    const resolvConf = async () =>
      (await host.run(["cat", "/etc/resolv.conf"])).stdout;
    const asked = () =>
      place.echoes.get(PLACES.tunnelDns)!.lines.filter((line) =>
        /who\.example/.test(line)
      ).length;
    const before = await resolvConf();
    assert.equal(before, `nameserver ${PLACES.dns}\n`);
    assert.equal(await seenByDns(host, dig), SEEN.wireguard);
    assert.equal(asked(), 0, "the resolver that it named was asked");

    await reload(place, withPolicy(place, "follow"));
    assert.notEqual(await resolvConf(), before);
    assert.equal(await seenByDns(host, dig), SEEN.wireguard);
    assert.equal(asked(), 1, "its tunnel's resolver was");

    await reload(place, withPolicy(place, "leave"));
    assert.equal(await resolvConf(), before);
    assert.equal(await seenByDns(host, dig), SEEN.wireguard);
    assert.equal(asked(), 1);
  },
});

const withHealth = (place: ClientLab, target: string) => ({
  tunnels: [{
    ...wireguardTunnel(place),
    dns: [PLACES.tunnelDns],
    health: {
      probe: "ping",
      target,
      interval: "200ms",
      timeout: "1s",
      downAfter: 100,
    },
  }],
  rules: [{ process: "alpha", tunnel: "wg" }],
  default: "direct",
});

await clientTest({
  name:
    "client: a tunnel that is to be probed otherwise stays connected; pings as probes, by both kinds of sockets",
  needs: [{ program: "ping" }],
  programs: { alpha: "nc" },
  config: (place) => ({
    tunnels: [wireguardTunnel(place)],
    rules: [{ process: "alpha", tunnel: "wg" }],
    default: "direct",
  }),
  up: ["wg"],
  run: async ({ place, host, programs: { alpha }, client }) => {
    const living = host.spawn("living", [
      ...[alpha, "-N", OUTSIDE.first, String(ECHO_PORT)],
    ], { stdin: "piped" });
    await waitFor("the flow to be there", async () => {
      const { stdout } = await ask(host, "flows", "--json");
      return /"alpha"/.test(stdout);
    });
    const state = async () => (await clientStatus(host)).tunnels[0].state;
    const steady = async () => {
      for (let round = 0; round < 8; round++) {
        assert.equal(await state(), "up");
        await pause(100);
      }
    };
    await host.sysctl("net.ipv4.ping_group_range", "0 2147483647");
    const expected = /wg: health or dns changed, stays connected/;
    const said = await reload(place, withHealth(place, "10.66.0.1"));
    // The client itself may have seen the edit first.
    if (!expected.test(said)) await client.waitForLine(expected);
    await steady();
    await host.sysctl("net.ipv4.ping_group_range", "1 0");
    await steady();
    await reload(place, withHealth(place, "fd66::1"));
    await steady();
    // Nobody is there.
    await reload(place, withHealth(place, "10.66.0.99"));
    await tunnelIs(host, "wg", "degraded");
    await reload(place, withHealth(place, "10.66.0.1"));
    await tunnelIs(host, "wg", "up");

    const { counters } = await clientStatus(host);
    assert.equal(counters["tunnel:connecting"], 1, "once, in the beginning");
    await living.writeLine("GET / HTTP/1.0\r\n\r");
    await living.waitForLine(new RegExp(`^${SEEN.wireguard}$`));
  },
});
