/** `sluice client` with real programs, tunnels and proxies; the network is that of client_lab.ts. */
import assert from "node:assert/strict";
import { e2eTest } from "../support/e2e.ts";
import { clientTest, makePrograms } from "../support/client_scenario.ts";
import {
  ask,
  clientStatus,
  makeClientLab,
  PLACES,
  SEEN,
  seenByDns,
  seenByTcp,
  seenByUdp,
  startClient,
  tunnelIs,
  wireguardTunnel,
} from "../support/client_lab.ts";
import { OUTSIDE } from "../support/gateway_net.ts";
import { hostState } from "../support/host_state.ts";
import type { Namespace } from "../support/lab.ts";
import { startDanteIn } from "../support/tun2socks.ts";

const NEEDS = [
  "tun",
  "wireguard-go",
  { program: "wg" },
  { program: "nc" },
  { program: "dig" },
  { program: "danted" },
] as const;

/** How the internet sees a program, by both protocols. */
async function seen(host: Namespace, program: string, address: string) {
  const [tcp, udp] = await Promise.all([
    seenByTcp(host, program, address),
    seenByUdp(host, program, address),
  ]);
  return { tcp, udp };
}

await e2eTest({
  name:
    "client: three programs at once by WireGuard, SOCKS5 and direct, TCP, UDP and DNS, both families",
  needs: NEEDS,
  run: async (lab) => {
    const place = await makeClientLab(lab);
    const { host } = place;
    await startDanteIn(place.proxies, {
      address: PLACES.proxies,
      port: 1080,
      external: ["eth0"],
    });
    const names = ["alpha", "beta", "gamma", "delta"] as const;
    const programs = await makePrograms(place, {
      ...{ alpha: "nc", beta: "nc", gamma: "nc", delta: "nc" },
      ...{ "alpha-dig": "dig", "beta-dig": "dig" },
      ...{ "gamma-dig": "dig", "delta-dig": "dig" },
    });
    const before = await hostState(host);
    const client = await startClient(place, {
      tunnels: [
        { ...wireguardTunnel(place), dns: [PLACES.tunnelDns, OUTSIDE.first6] },
        {
          name: "socks",
          type: "socks5",
          url: `socks5://${PLACES.proxies}:1080`,
          dns: [PLACES.tunnelDns, OUTSIDE.first6],
        },
      ],
      rules: [
        { process: "alpha*", tunnel: "wg", children: true },
        { process: "beta*", tunnel: "socks" },
        { process: "delta*", tunnel: "drop" },
      ],
      default: "direct",
    });
    await tunnelIs(host, "wg", "up");
    await tunnelIs(host, "socks", "up");

    const [a4, b4, c4, d4] = await Promise.all(
      names.map((name) => seen(host, programs[name], OUTSIDE.first)),
    );
    assert.deepEqual(a4, { tcp: SEEN.wireguard, udp: SEEN.wireguard });
    assert.deepEqual(b4, { tcp: SEEN.proxy, udp: SEEN.proxy });
    assert.deepEqual(c4, { tcp: SEEN.direct, udp: SEEN.direct });
    assert.deepEqual(d4, { tcp: undefined, udp: undefined });

    const [a6, b6, c6, d6] = await Promise.all(
      names.map((name) => seen(host, programs[name], OUTSIDE.first6)),
    );
    assert.deepEqual(a6, { tcp: SEEN.wireguard6, udp: SEEN.wireguard6 });
    assert.deepEqual(b6, { tcp: SEEN.proxy6, udp: SEEN.proxy6 });
    assert.deepEqual(c6, { tcp: SEEN.direct6, udp: SEEN.direct6 });
    assert.deepEqual(d6, { tcp: undefined, udp: undefined });

    // By the resolver that the host has, which each way replaces by its own.
    const [aDns, bDns, cDns, dDns] = await Promise.all(
      names.map((name) => seenByDns(host, programs[`${name}-dig`])),
    );
    assert.equal(aDns, SEEN.wireguard);
    assert.equal(bDns, SEEN.proxy);
    assert.equal(cDns, SEEN.direct);
    assert.equal(dDns, undefined);
    const asked = (address: string) =>
      place.echoes.get(address)!.lines.filter((line) =>
        /who\.example/.test(line)
      )
        .map((line) => line.split(" ").at(-1));
    assert.deepEqual(
      [...new Set(asked(PLACES.tunnelDns))].sort(),
      [SEEN.wireguard, SEEN.proxy].sort(),
    );
    assert.deepEqual([...new Set(asked(PLACES.dns))], [SEEN.direct]);

    // Questions by IPv6 go to the way's resolver of that family.
    const dns6 = await Promise.all(
      names.map((name) =>
        seenByDns(host, programs[`${name}-dig`], OUTSIDE.first6)
      ),
    );
    assert.deepEqual(dns6, [
      SEEN.wireguard6,
      SEEN.proxy6,
      SEEN.direct6,
      undefined,
    ]);

    const status = await clientStatus(host);
    assert.equal(status.killSwitch, "on");
    assert.equal(status.egress4, "out");
    assert.equal(await client.stop(), 0);
    assert.deepEqual(await hostState(host), before);
    const { stdout } = await host.run(["nft", "list", "ruleset"]);
    assert.equal(stdout, "", "no packet filter is left");
  },
});

await clientTest({
  name:
    "client: a child follows its parent, also after that has ended; flows and explain say why",
  programs: { launcher: "sh", worker: "nc", holder: "nc" },
  config: (place) => ({
    tunnels: [wireguardTunnel(place)],
    rules: [{ process: "launcher", children: true, tunnel: "wg" }],
    default: "direct",
  }),
  up: ["wg"],
  run: async ({ host, programs }) => {
    const { launcher: shell, worker: nc, holder } = programs;
    const request = `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | ${nc} -N -w 3 ` +
      `${OUTSIDE.first} 7000`;
    const child = await host.run([shell, "-c", `${request}; true`], {
      timeoutMs: 10_000,
    });
    assert.match(child.stdout, new RegExp(`${SEEN.wireguard}\\n$`));
    const stranger = await host.run(["sh", "-c", `${request}; true`], {
      timeoutMs: 10_000,
    });
    assert.match(stranger.stdout, new RegExp(`${SEEN.direct}\\n$`));

    const held = host.spawn("held", [
      shell,
      "-c",
      `${holder} -N ${OUTSIDE.first} 7000; true`,
    ], { stdin: "piped" });
    await waitForFlow(host, "holder");
    const { stdout } = await ask(
      host,
      "flows",
      "--json",
      "--process",
      "holder",
    );
    const [flow] = JSON.parse(stdout);
    assert.equal(flow.tunnel, "wg");
    assert.equal(flow.by, "rule 1");
    assert.equal(flow.remote, `${OUTSIDE.first}:7000`);
    const explained = await ask(
      host,
      "explain",
      String(flow.program.processId),
      `${OUTSIDE.first}:7000`,
    );
    assert.equal(explained.code, 0, explained.stderr);
    assert.match(explained.stdout, /children: .*launcher/);
    assert.match(explained.stdout, /^verdict: tunnel wg, by rule 1$/m);
    assert.match(explained.stdout, /^if tunnel wg were down: drop/m);
    const other = await ask(host, "explain", "/usr/bin/other", "192.0.2.7");
    assert.match(other.stdout, /^verdict: direct, by default$/m);
    await held.closeInput();
  },
});

await clientTest({
  name:
    "client: a rule about a name holds for the address that a program has resolved, and for that program only",
  programs: { alpha: "nc", beta: "nc" },
  config: (place) => ({
    tunnels: [wireguardTunnel(place)],
    rules: [{ destination: "*.example", tunnel: "wg" }],
    default: "direct",
  }),
  up: ["wg"],
  run: async ({ host, programs: { alpha, beta } }) => {
    // The resolver leads any name to itself.
    assert.equal(await seenByTcp(host, alpha, "a.example"), SEEN.wireguard);
    assert.equal(await seenByTcp(host, beta, PLACES.dns), SEEN.direct);
    assert.equal(await seenByTcp(host, alpha, PLACES.dns), SEEN.wireguard);
    assert.equal(await seenByTcp(host, beta, "b.test"), SEEN.direct);
    const explained = await ask(host, "explain", beta, "b.example");
    assert.match(explained.stdout, /^verdict: tunnel wg, by rule 1$/m);
  },
});

async function waitForFlow(host: Namespace, program: string): Promise<void> {
  for (let round = 0; round < 20; round++) {
    const { stdout } = await ask(host, "flows", "--json", "--process", program);
    if (JSON.parse(stdout).length > 0) return;
  }
  throw new Error(`no flow of ${program}`);
}
