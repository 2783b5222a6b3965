/**
 * `sluice client` stopped for a minute, in true time, and its way out taken from
 * under a download. It mostly waits.
 */
import assert from "node:assert/strict";
import {
  type ClientLab,
  clientStatus,
  ECHO_PORT,
  PLACES,
  SEEN,
  seenByTcp,
  wireguardTunnel,
} from "../support/client_lab.ts";
import { clientTest, type ClientWorld } from "../support/client_scenario.ts";
import { OUTSIDE } from "../support/gateway_net.ts";
import type { Namespace } from "../support/lab.ts";
import type { LoggedProcess } from "../support/process.ts";
import { startDanteIn } from "../support/tun2socks.ts";
import { pause, waitFor, within } from "../support/wait.ts";

const SUSPENDED_MS = 60_000;
/** New flows work within this. */
const SOON_MS = 2_000;
/** What can't go on must have failed within this. */
const FAST_MS = 10_000;
const TICK_PORT = 8000;
/** Each 0.2 s after the one before: enough for all that is done here. */
const TICKS = 600;
const OTHER = "10.5.0.1";

/** Programs that go by WireGuard, SOCKS5 and directly, and where they load from. */
const SCENARIO = {
  needs: [{ program: "socat" }, { program: "danted" }],
  programs: { alpha: "nc", beta: "nc", gamma: "nc" },
  prepare: async ({ proxies, net }: ClientLab) => {
    await startDanteIn(proxies, {
      address: PLACES.proxies,
      port: 1080,
      external: ["eth0"],
    });
    // What it starts for each caller may outlive it for a while, and keeps no pipe.
    net.internet.spawn("ticks", [
      ...["sh", "-c"],
      `exec socat TCP4-LISTEN:${TICK_PORT},fork,reuseaddr ` +
      `'SYSTEM:for n in $(seq ${TICKS}); do echo tick || break; sleep 0.2; done' ` +
      ">/dev/null 2>&1",
    ]);
    await waitFor("ticks", async () => {
      const { code } = await net.router.run(
        ["nc", "-z", OUTSIDE.first, String(TICK_PORT)],
        { exit: "any" },
      );
      return code === 0;
    });
  },
  config: (place: ClientLab) => ({
    tunnels: [wireguardTunnel(place), {
      name: "socks",
      type: "socks5",
      url: `socks5://${PLACES.proxies}:1080`,
    }],
    rules: [
      { process: "alpha", tunnel: "wg" },
      { process: "beta", tunnel: "socks" },
    ],
    default: "direct",
  }),
  up: ["wg", "socks"],
} as const;

/** Each program begins to load something. */
function download(
  { host, programs }: ClientWorld<keyof typeof SCENARIO.programs>,
): Promise<LoggedProcess[]> {
  return Promise.all(
    Object.entries(programs).map(async ([name, program]) => {
      const loading = host.spawn(`download of ${name}`, [
        ...[program, OUTSIDE.first, String(TICK_PORT)],
      ]);
      await loading.waitForLine(/tick/);
      return loading;
    }),
  );
}

/** How a datagram is seen, as soon as its answer comes. */
async function answerByUdp(host: Namespace, program: string): Promise<string> {
  const sender = host.spawn(`datagram of ${program}`, [
    ...[program, "-u", OUTSIDE.second, String(ECHO_PORT)],
  ], { stdin: "piped" });
  await sender.writeLine("hello");
  const [seen] = await sender.waitForLine(/^[\d.]+$/);
  return seen;
}

/** Waits until a download has got more, or has failed. */
async function resumesOrFails(download: LoggedProcess): Promise<void> {
  const ended = download.waitForExit().then(() => true, () => true);
  const before = download.lines.length;
  let isOver = false;
  void ended.then(() => isOver = true);
  await waitFor(
    `${download.name} to resume or fail`,
    () => isOver || download.lines.length > before + 1,
    { timeoutMs: FAST_MS },
  );
}

await clientTest({
  name:
    "client: after 60 s of suspension downloads resume or fail fast, new flows work within 2 s",
  ...SCENARIO,
  run: async (world) => {
    const { host, client, programs: { alpha, beta, gamma } } = world;
    const downloads = await download(world);
    client.signal("SIGSTOP");
    await pause(SUSPENDED_MS);
    client.signal("SIGCONT");
    const seen = await within(
      SOON_MS,
      Promise.all([
        seenByTcp(host, alpha, OUTSIDE.first),
        seenByTcp(host, beta, OUTSIDE.second),
        seenByTcp(host, gamma, OUTSIDE.first),
        answerByUdp(host, alpha),
        answerByUdp(host, gamma),
      ]),
    );
    const { wireguard, proxy, direct } = SEEN;
    assert.deepEqual(seen, [wireguard, proxy, direct, wireguard, direct]);
    await Promise.all(downloads.map(resumesOrFails));
    assert.ok((await clientStatus(host)).counters.resumes >= 1);
  },
});

await clientTest({
  name:
    "client: its way out moves to another interface: downloads resume or fail fast, new flows work within 2 s",
  ...SCENARIO,
  run: async (world) => {
    const { host, place: { lab, net }, programs } = world;
    const { alpha, beta, gamma } = programs;
    const downloads = await download(world);
    await lab.link(
      { namespace: host, name: "out2", addresses: [`${OTHER}/24`] },
      { namespace: net.router, name: "in2", addresses: ["10.5.0.2/24"] },
    );
    await host.ip(
      "route replace default via 10.5.0.2 dev out2",
      "link set out down",
    );
    const began = performance.now();
    for (
      const [program, expected] of [
        [gamma, OTHER],
        [alpha, SEEN.wireguard],
        [beta, SEEN.proxy],
      ]
    ) {
      await waitFor(
        `${program} to be seen as ${expected}`,
        async () => await seenByTcp(host, program, OUTSIDE.second) === expected,
        { timeoutMs: 20_000, intervalMs: 20 },
      );
      const took = performance.now() - began;
      assert.ok(took < SOON_MS, `${program} took ${took} ms`);
    }
    await Promise.all(downloads.map(resumesOrFails));
  },
});
