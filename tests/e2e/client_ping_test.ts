/** Pings of `sluice client`'s programs go where their rules say; what is neither TCP, UDP nor ping goes nowhere. */
import assert from "node:assert/strict";
import { clientStatus, SEEN, wireguardTunnel } from "../support/client_lab.ts";
import { clientTest } from "../support/client_scenario.ts";
import { OUTSIDE } from "../support/gateway_net.ts";
import type { LoggedProcess } from "../support/process.ts";
import { waitFor } from "../support/wait.ts";

const SCTP = 132;
const GRE = 47;
const DISCARD = 9;

/** From where echo requests came since a line of a capture. */
function sources(wire: LoggedProcess, from: number): string[] {
  const found = wire.lines.slice(from).flatMap((line) =>
    / IP6? (\S+) > \S+: ICMP6?,? echo request/.exec(line)?.[1] ?? []
  );
  return [...new Set(found)].sort();
}

await clientTest({
  name:
    "client: a ping goes its program's way, by ping sockets and raw ones; other protocols go nowhere and are counted",
  needs: ["nc", "socat", "tcpdump"].map((program) => ({ program })),
  programs: { alpha: "ping", blocked: "ping", gamma: "ping" },
  config: (place) => ({
    tunnels: [wireguardTunnel(place)],
    rules: [
      { process: "alpha", tunnel: "wg" },
      { process: "blocked", tunnel: "drop" },
    ],
    default: "direct",
  }),
  up: ["wg"],
  run: async ({ place: { net }, host, programs }) => {
    const { alpha, blocked, gamma } = programs;
    const wire = net.internet.spawn("tcpdump", [
      ...["tcpdump", "-i", "eth0", "-n", "-l", "--immediate-mode"],
      `icmp or icmp6 or ip proto ${SCTP} or ip proto ${GRE} or ` +
      `udp port ${DISCARD}`,
    ]);
    await wire.waitForLine(/listening on/);
    const ping = async (program: string, address: string) => {
      const from = wire.lines.length;
      const { code } = await host.run(
        [program, "-n", "-c", "1", "-W", "2", address],
        { exit: "any", timeoutMs: 10_000 },
      );
      await allIsTold();
      return { code, seen: sources(wire, from) };
    };
    /** The capture has told of all that came until now. */
    const allIsTold = async () => {
      const from = wire.lines.length;
      await net.router.run([
        ...["sh", "-c", `printf x | nc -u -w 0 ${OUTSIDE.first} ${DISCARD}`],
      ]);
      await waitFor(
        "the capture",
        () =>
          wire.lines.slice(from).some((line) => line.includes(`.${DISCARD}:`)),
      );
    };
    // For everybody's ping sockets, then for nobody's: raw ones are taken then.
    for (const groups of ["0 2147483647", "1 0"]) {
      await host.sysctl("net.ipv4.ping_group_range", groups);
      for (
        const [address, tunnelled, direct] of [
          [OUTSIDE.first, SEEN.wireguard, SEEN.direct],
          [OUTSIDE.first6, SEEN.wireguard6, SEEN.direct6],
        ]
      ) {
        assert.deepEqual(
          await ping(alpha, address),
          { code: 0, seen: [tunnelled] },
          `${groups}: ${address}`,
        );
        assert.deepEqual(
          await ping(gamma, address),
          { code: 0, seen: [direct] },
        );
        const { code, seen } = await ping(blocked, address);
        assert.notEqual(code, 0);
        assert.deepEqual(seen, []);
      }
    }

    // Two of other programs at once, by raw sockets that don't tell what they send.
    const first = host.spawn("first", [
      alpha,
      "-n",
      "-i",
      "0.2",
      OUTSIDE.first,
    ]);
    await first.waitForLine(/bytes from/);
    const mixed = await ping(gamma, OUTSIDE.second);
    assert.notEqual(mixed.code, 0);
    assert.ok(!mixed.seen.includes(SEEN.direct));
    const { counters } = await clientStatus(host);
    assert.ok(counters["unknown:shared"] >= 1, JSON.stringify(counters));
    await first.stop();

    const from = wire.lines.length;
    for (const protocol of [SCTP, GRE]) {
      await host.run([
        "socat",
        "-u",
        "-",
        `IP4-SENDTO:${OUTSIDE.first}:${protocol}`,
      ], {
        input: "x".repeat(64),
        exit: "any",
      });
    }
    assert.equal((await ping(gamma, OUTSIDE.first)).code, 0);
    const leaked = wire.lines.slice(from).filter((line) =>
      !/ICMP|UDP/.test(line)
    );
    assert.deepEqual(leaked, []);
    const { drops } = await clientStatus(host);
    assert.ok(drops["protocol not forwarded"] >= 2, JSON.stringify(drops));
  },
});
