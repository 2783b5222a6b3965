/**
 * `sluice client` on Windows whose packets are captured on their way: three
 * programs at once, each by its own way, and what the wire has seen of them.
 */
import assert from "node:assert/strict";
import { Capture, type CapturedPacket } from "../support/capture.ts";
import {
  CLIENT_ENV,
  type ClientLab,
  ECHO_PORT,
  makeClientLab,
  PLACES,
  SEEN,
  wireguardTunnel,
} from "../support/client_lab.ts";
import { e2eTest } from "../support/e2e.ts";
import { OUTSIDE } from "../support/gateway_net.ts";
import type { Lab } from "../support/lab.ts";
import type { LoggedProcess } from "../support/process.ts";
import { startDanteIn } from "../support/tun2socks.ts";
import { waitFor } from "../support/wait.ts";
import { hostNetworkEnv, startNetworkBridge } from "./support/host_network.ts";
import { WineMachine } from "./support/machine.ts";
import {
  buildNdisapi,
  CapturableLine,
  NDISAPI_ENV,
} from "./support/ndisapi.ts";
import {
  IN_VAIN,
  NOTHING,
  ProbeProgram,
  seenAs,
} from "./support/probe_program.ts";
import type { ProbeQuestion } from "./support/way_probe.ts";

const NEEDS = [
  "wine",
  "tun",
  "wireguard-go",
  { program: "wg" },
  { program: "danted" },
  { program: "tcpdump" },
] as const;
const MAIN = new URL("../../main.ts", import.meta.url).pathname;
const PROXY_PORT = 1080;
const ICMPV6 = 58;

/** The lab's host as a Windows machine, with a line that can be captured. */
async function windowsHost(
  lab: Lab,
  env: Record<string, string> = {},
): Promise<{
  place: ClientLab;
  machine: WineMachine;
  line: CapturableLine;
}> {
  const place = await makeClientLab(lab);
  const { host, net: { router } } = place;
  await startDanteIn(place.proxies, {
    address: PLACES.proxies,
    port: PROXY_PORT,
    external: ["eth0"],
  });
  await host.ip("link del out");
  const line = await CapturableLine.start(host, {
    host: { name: "out", addresses: ["10.2.0.1/24", "2001:db8:2::1/64"] },
    wire: {
      name: "in",
      addresses: ["10.2.0.2/24", "2001:db8:2::2/64"],
      namespace: router,
    },
  });
  await host.ip(
    "route add default via 10.2.0.2",
    "route add ::/0 via 2001:db8:2::2",
  );
  const [networkEnv, ndisapi] = await Promise.all([
    hostNetworkEnv(),
    buildNdisapi(),
    startNetworkBridge(host),
  ]);
  const machine = await WineMachine.start(host, {
    beside: [ndisapi],
    env: { ...CLIENT_ENV, ...NDISAPI_ENV, ...networkEnv, ...env },
  });
  return { place, machine, line };
}

async function startClient(
  place: ClientLab,
  machine: WineMachine,
  change: Record<string, unknown> = {},
): Promise<LoggedProcess> {
  const { lab } = place;
  const path = await lab.write(
    "client.yaml",
    JSON.stringify({
      tunnels: [
        { ...wireguardTunnel(place), dns: [PLACES.tunnelDns, OUTSIDE.first6] },
        {
          name: "socks",
          type: "socks5",
          url: `socks5://${PLACES.proxies}:${PROXY_PORT}`,
          dns: [PLACES.tunnelDns, OUTSIDE.first6],
        },
      ],
      rules: [
        { process: "alpha.exe", tunnel: "wg" },
        { process: "beta.exe", tunnel: "socks" },
        { process: "delta.exe", tunnel: "drop" },
      ],
      default: "direct",
      capture: { mode: "ndis" },
      ...change,
    }),
  );
  const client = machine.spawnSluice([
    "client",
    "-c",
    path,
    "--log-level",
    "debug",
  ]);
  await client.waitForLine(/client up:/, { timeoutMs: 60_000 });
  return client;
}

/** Ends it before the proxy, whose children outlive that as long as they have work. */
async function end(client: LoggedProcess): Promise<void> {
  await client.stop();
}

async function tunnelsAreUp(client: LoggedProcess): Promise<void> {
  for (const name of ["wg", "socks"]) {
    await client.waitForLine(new RegExp(`${name}.* up\\b`), {
      timeoutMs: 30_000,
    });
  }
}

/** Ends of a captured packet: `10.2.0.1 -> 198.51.100.10:7000`; later fragments have none. */
function endsOf({ bytes }: CapturedPacket): string {
  if (bytes[0] >>> 4 !== 4 || (bytes[9] !== 6 && bytes[9] !== 17)) return "";
  if ((bytes[6] & 0x1f) !== 0 || bytes[7] !== 0) return "";
  const at = (bytes[0] & 15) * 4;
  const from = bytes.subarray(12, 16).join(".");
  const to = bytes.subarray(16, 20).join(".");
  return `${from} -> ${to}:${bytes[at + 2] << 8 | bytes[at + 3]}`;
}

await e2eTest({
  name:
    "windows client by ndis: three programs at once by WireGuard, SOCKS5 and direct, TCP, UDP and DNS, both families; nothing forbidden on the wire",
  needs: NEEDS,
  run: async (lab) => {
    const { place, machine } = await windowsHost(lab);
    await using stack = new AsyncDisposableStack();
    const client = await startClient(place, machine);
    stack.defer(() => end(client));
    await tunnelsAreUp(client);
    const names = ["alpha", "beta", "gamma", "delta"] as const;
    const probes = await Promise.all(
      names.map((name) => ProbeProgram.start(machine, name)),
    );
    const [alpha, beta, gamma, delta] = probes;
    // Where nobody goes who goes direct: a packet for it on the wire is a leak.
    const own = { address: OUTSIDE.second };
    const own6 = { address: OUTSIDE.first6, resolver: OUTSIDE.first6 };
    // A datagram longer than a packet.
    const long = { datagram: 3000 };
    const wire = await Capture.start(place.net.router, "in");
    const [a4, b4, d4, c4] = await Promise.all([
      alpha.ask(own),
      beta.ask(own),
      delta.ask({ ...own, ...IN_VAIN }),
      gamma.ask(),
    ]);
    assert.deepEqual(a4, seenAs(SEEN.wireguard));
    assert.deepEqual(b4, seenAs(SEEN.proxy));
    assert.deepEqual(c4, seenAs(SEEN.direct));
    assert.deepEqual(d4, NOTHING);
    const [a6, b6, d6] = await Promise.all([
      alpha.ask(own6),
      beta.ask(own6),
      delta.ask({ ...own6, ...IN_VAIN }),
    ]);
    assert.deepEqual(a6, seenAs(SEEN.wireguard6));
    assert.deepEqual(b6, seenAs(SEEN.proxy6));
    assert.deepEqual(d6, NOTHING);
    const [aLong, dLong, cLong] = await Promise.all([
      alpha.ask({ ...own, ...long }),
      delta.ask({ ...own, ...long, ...IN_VAIN }),
      gamma.ask(long),
    ]);
    assert.equal(aLong.udp, SEEN.wireguard);
    assert.equal(dLong.udp, null);
    assert.equal(cLong.udp, SEEN.direct);
    judge(await wire.stop());
    assert.deepEqual(await gamma.ask(own6), seenAs(SEEN.direct6));

    // Each way has replaced the resolver that its program asked.
    const asked = (address: string) =>
      new Set(
        place.echoes.get(address)!.lines.flatMap((line) =>
          /who\.example from (.*)/.exec(line)?.[1] ?? []
        ),
      );
    assert.deepEqual(asked(PLACES.dns), new Set([SEEN.direct]));
    assert.deepEqual(
      asked(PLACES.tunnelDns),
      new Set([SEEN.wireguard, SEEN.proxy]),
    );
    client.signal("SIGINT");
    assert.equal(await client.waitForExit(), 0, client.tail());
  },
});

await e2eTest({
  name:
    "windows client by ndis, asked frame by frame, its adapter computing checksums: fallbacks with the tunnel down, killed, started again",
  needs: NEEDS,
  run: async (lab) => {
    const { place, machine, line } = await windowsHost(lab, {
      SLUICE_NDISAPI_SECTIONS: "none",
      SLUICE_NDISAPI_OFFLOAD: "checksums",
    });
    const change = {
      rules: [
        { process: "alpha.exe", tunnel: "wg" },
        { process: "beta.exe", tunnel: "wg", fallback: "allowDirect" },
        { process: "gamma.exe", tunnel: "wg", fallback: "nextRule" },
        { process: "gamma.exe", tunnel: "socks" },
      ],
    };
    await using stack = new AsyncDisposableStack();
    let client = await startClient(place, machine, change);
    stack.defer(() => end(client));
    await tunnelsAreUp(client);
    await line.command("add out2:in2");
    await client.waitForLine(/captured adapters: out, out2$/);
    await line.command("remove out2");
    await client.waitForLine(/captured adapters: out$/);
    const names = ["alpha", "beta", "gamma"] as const;
    const probes = await Promise.all(
      names.map((name) => ProbeProgram.start(machine, name)),
    );
    const [alpha] = probes;
    // Nobody else asks alpha's place.
    const own = { address: OUTSIDE.second, resolver: OUTSIDE.second };
    const ask = (question: Partial<ProbeQuestion> = {}) =>
      Promise.all(
        probes.map((probe) =>
          probe.ask({ ...(probe === alpha ? own : {}), ...question })
        ),
      );
    const { wireguard, direct, proxy } = SEEN;
    const wire = await Capture.start(
      place.net.router,
      "in",
      `host ${OUTSIDE.second}`,
    );
    assert.deepEqual(await ask(), names.map(() => seenAs(wireguard)));
    await sluice(machine, "tunnel", "down", "wg");
    await client.waitForLine(/wg is down/);
    const [a, b, c] = await ask(IN_VAIN);
    assert.deepEqual(a, NOTHING);
    assert.deepEqual([b.tcp, b.udp], [direct, direct]);
    assert.deepEqual(c, seenAs(proxy));
    await sluice(machine, "tunnel", "up", "wg");
    await waitFor(
      "the tunnel to be up again",
      () => client.lines.filter((line) => /wg is up/.test(line)).length === 2,
    );
    assert.deepEqual(await ask(), names.map(() => seenAs(wireguard)));
    assert.deepEqual((await wire.stop()).map(endsOf), []);

    // The driver has let go of all with its program.
    client.signal("SIGKILL");
    await client.waitForExit();
    assert.deepEqual(await alpha.ask(own), seenAs(direct));
    client = await startClient(place, machine, change);
    await tunnelsAreUp(client);
    assert.deepEqual(await alpha.ask(own), seenAs(wireguard));
    client.signal("SIGINT");
    assert.equal(await client.waitForExit(), 0, client.tail());
  },
});

async function sluice(
  machine: WineMachine,
  ...args: readonly string[]
): Promise<void> {
  await machine.run(machine.denoRun(MAIN, ...args), { timeoutMs: 30_000 });
}

/** Of the host's own packets these alone: tunnel, proxy, and who goes direct. */
function judge(packets: readonly CapturedPacket[]): void {
  const ends = new Set(packets.map(endsOf).filter((text) => text !== ""));
  const out = [...ends].filter((text) => text.startsWith("10.2.0.1 "))
    .map((text) => text.split("-> ")[1])
    .filter((to) => !isProxyRelay(to));
  assert.deepEqual(
    new Set(out),
    new Set([
      `${PLACES.vpn}:${PLACES.vpnPort}`,
      `${PLACES.proxies}:${PROXY_PORT}`,
      `${PLACES.dns}:53`,
      `${OUTSIDE.first}:${ECHO_PORT}`,
    ]),
  );
  // Nobody has gone direct by IPv6: neighbours alone have talked.
  const talk = packets.filter(({ bytes }) =>
    bytes[0] >>> 4 === 6 && bytes[6] !== ICMPV6
  );
  assert.deepEqual(talk, []);
  // Nor do later fragments go anywhere else.
  const second = OUTSIDE.second.split(".").map(Number);
  assert.ok(
    packets.every(({ bytes }) =>
      bytes[0] >>> 4 !== 4 || second.some((byte, n) => bytes[16 + n] !== byte)
    ),
  );
}

/** UDP by SOCKS5 goes to a port that the proxy names. */
function isProxyRelay(end: string): boolean {
  const [address, port] = end.split(":");
  return address === PLACES.proxies && Number(port) !== PROXY_PORT;
}
