/** `sluice client` while things change: tunnels that fall and come back, edits of its config, verbs. */
import assert from "node:assert/strict";
import {
  ask,
  clientStatus,
  SEEN,
  seenByTcp,
  tunnelIs,
  wireguardTunnel,
} from "../support/client_lab.ts";
import { clientTest } from "../support/client_scenario.ts";
import { OUTSIDE } from "../support/gateway_net.ts";
import type { Namespace } from "../support/lab.ts";
import { waitFor } from "../support/wait.ts";

/** Waits until the outside sees a program so; undefined for not at all. */
async function isSeen(
  host: Namespace,
  program: string,
  expected: string | undefined,
): Promise<void> {
  await waitFor(
    `${program} to be seen as ${expected}`,
    async () => await seenByTcp(host, program, OUTSIDE.first) === expected,
    { timeoutMs: 20_000, intervalMs: 100 },
  );
}

await clientTest({
  name:
    "client: what a tunnel that is down means to each fallback, and that it comes back",
  needs: [{ program: "ping" }],
  programs: { blocked: "nc", allowed: "nc", passed: "nc", never: "nc" },
  config: (place) => ({
    tunnels: [{
      ...wireguardTunnel(place),
      health: {
        probe: "ping",
        target: "10.66.0.1",
        interval: "500ms",
        timeout: "1s",
        downAfter: 2,
      },
    }],
    rules: [
      { process: "blocked", tunnel: "wg" },
      { process: "allowed", tunnel: "wg", fallback: "allowDirect" },
      { process: "passed", tunnel: "wg", fallback: "nextRule" },
      { process: "never", tunnel: "wg", fallback: "drop" },
    ],
    default: "direct",
  }),
  up: ["wg"],
  run: async ({ place, host, programs }) => {
    const { blocked, allowed, passed, never } = programs;
    const seen = () =>
      Promise.all(
        [blocked, allowed, passed, never].map((program) =>
          seenByTcp(host, program, OUTSIDE.first)
        ),
      );
    const { wireguard, direct } = SEEN;
    const up = [wireguard, wireguard, wireguard, undefined];
    const down = [undefined, direct, direct, undefined];
    assert.deepEqual(await seen(), up);
    const ended = await ask(host, "tunnel", "down", "wg");
    assert.equal(ended.code, 0, ended.stderr);
    assert.deepEqual(await seen(), down);
    const unknown = await ask(host, "tunnel", "down", "gw");
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /no tunnel "gw"[^]*there are: wg/);
    await ask(host, "tunnel", "up", "wg");
    await tunnelIs(host, "wg", "up");
    assert.deepEqual(await seen(), up);

    // Nobody said anything: probes find it out, and that it is back.
    await place.vpn.ip("link set wg0 down");
    await tunnelIs(host, "wg", "down");
    assert.deepEqual(await seen(), down);
    await place.vpn.ip("link set wg0 up");
    await place.vpn.ip("route replace 10.66.0.0/24 dev wg0");
    await tunnelIs(host, "wg", "up");
    await isSeen(host, blocked, wireguard);

    assert.equal((await ask(host, "pause")).code, 0);
    assert.equal((await clientStatus(host)).mode, "paused");
    assert.deepEqual(await seen(), [direct, direct, direct, direct]);
    assert.equal((await ask(host, "resume")).code, 0);
    await tunnelIs(host, "wg", "up");
    assert.deepEqual(await seen(), up);
  },
});

await clientTest({
  name:
    "client: its config edited while it runs, flows with the same verdict live on, a bad edit is refused",
  programs: { alpha: "nc", beta: "nc" },
  config: (place) => ({
    tunnels: [wireguardTunnel(place)],
    rules: [{ process: "alpha", tunnel: "wg" }],
    default: "direct",
  }),
  up: ["wg"],
  run: async ({ place, host, programs: { alpha, beta }, client }) => {
    const path = `${place.lab.directory}/client.yaml`;
    const living = host.spawn("living", [
      alpha,
      ...["-N", OUTSIDE.first, "7000"],
    ], { stdin: "piped" });
    await waitFor("the flow to be there", async () => {
      const { stdout } = await ask(host, "flows", "--json");
      return /"alpha"/.test(stdout);
    });
    assert.equal(await seenByTcp(host, beta, OUTSIDE.first), SEEN.direct);

    const added = await ask(
      host,
      ...["rule", "add", "--process", "beta", "--tunnel", "wg"],
    );
    assert.equal(added.code, 0, added.stderr);
    assert.match(added.stderr, /^added rule 2 to .*client\.yaml/);
    await isSeen(host, beta, SEEN.wireguard);

    const good = await Deno.readTextFile(path);
    await Deno.writeTextFile(path, `${good}}{\n`);
    await client.waitForLine(/the old one stays in force/);
    const reload = await ask(host, "reload");
    assert.equal(reload.code, 1);
    assert.match(reload.stderr, /client\.yaml:\d+:\d+: /);
    assert.equal(await seenByTcp(host, beta, OUTSIDE.first), SEEN.wireguard);
    await Deno.writeTextFile(path, good);
    const unchanged = await ask(host, "reload");
    assert.equal(unchanged.code, 0, unchanged.stderr);

    const removed = await ask(host, "rule", "remove", "2");
    assert.equal(removed.code, 0, removed.stderr);
    await isSeen(host, beta, SEEN.direct);
    // The flow from the beginning is still in its tunnel, and answered.
    await living.writeLine("GET / HTTP/1.0\r\n\r");
    await living.waitForLine(new RegExp(`^${SEEN.wireguard}$`));
  },
});
