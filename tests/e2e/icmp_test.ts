/** Ping through the gateway, and ICMP errors that come back to the right client. */
import assert from "node:assert/strict";
import { Capture } from "../support/capture.ts";
import { e2eTest } from "../support/e2e.ts";
import { GATEWAY_OUTSIDE, OUTSIDE, ROUTER } from "../support/gateway_net.ts";
import {
  ping,
  startConnectedScenario,
  WIREGUARD_NEEDS,
} from "../support/scenario.ts";
import { TUNNEL } from "../support/sluice.ts";

const TIME_EXCEEDED = 11, UNREACHABLE = 3;
const PORT_UNREACHABLE = 3, FRAGMENTATION_NEEDED = 4;

await e2eTest({
  name:
    "icmp: two clients ping one host with the same identifier and sequence at once",
  needs: [...WIREGUARD_NEEDS, { program: "tcpdump" }],
  run: async (lab) => {
    const { net, agents } = await startConnectedScenario(lab, {
      clientCount: 2,
    });
    const capture = await Capture.start(
      net.internet,
      "eth0",
      "icmp[icmptype] = icmp-echo",
    );
    const results = await Promise.all(
      agents.map((agent) =>
        agent.call("icmpEcho", {
          address: OUTSIDE.first,
          identifier: 4242,
          sequence: 7,
          count: 50,
          size: 100,
          timeoutMs: 3000,
        })
      ),
    );
    for (const { answers, strangers } of results) {
      assert.equal(answers.length, 50);
      assert.equal(strangers, 0);
    }
    const identifiers = new Set(
      (await capture.stop()).map(({ bytes }) => bytes[24] << 8 | bytes[25]),
    );
    assert.equal(
      identifiers.size,
      2,
      "the gateway has an identifier for each client",
    );
  },
});

await e2eTest({
  name: "icmp: the program ping, from two clients with the same identifier",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { net } = await startConnectedScenario(lab, { clientCount: 2 });
    const results = await Promise.all(
      net.clients.map((place) =>
        ping(place, OUTSIDE.second, { count: 10, more: ["-e", "1234"] })
      ),
    );
    for (const result of results) {
      assert.deepEqual(result, { sent: 10, received: 10 });
    }
  },
});

await e2eTest({
  name: "icmp: the hops to an outside host are seen as they are",
  needs: [...WIREGUARD_NEEDS, { program: "traceroute" }],
  run: async (lab) => {
    const { net, agents } = await startConnectedScenario(lab, {
      clientCount: 2,
    });
    const [place] = net.clients;
    const trace = await place.namespace.run([
      "traceroute",
      ...["-n", "-q", "1", "-w", "2", "-m", "5", OUTSIDE.first],
    ]);
    const hops = [...trace.stdout.matchAll(/^ *[0-9]+ +(\S+)/gm)]
      .map(([, address]) => address);
    assert.deepEqual(hops, [TUNNEL.gateway, ROUTER, OUTSIDE.first]);

    // Both clients at once: each gets the error for its own datagram.
    const errors = await Promise.all(agents.flatMap((agent) => [
      agent.call("udpError", { address: OUTSIDE.first, port: 7, ttl: 1 }),
      agent.call("udpError", { address: OUTSIDE.second, port: 7, ttl: 2 }),
      agent.call("udpError", { address: OUTSIDE.first, port: 9999 }),
    ]));
    const seen = errors.map((e) => e && [e.type, e.code, e.offender]);
    const expected = [
      [TIME_EXCEEDED, 0, TUNNEL.gateway],
      [TIME_EXCEEDED, 0, ROUTER],
      [UNREACHABLE, PORT_UNREACHABLE, OUTSIDE.first],
    ];
    assert.deepEqual(seen, [...expected, ...expected]);
  },
});

await e2eTest({
  name: "icmp: a ping whose hop limit ends on the way says where",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { net } = await startConnectedScenario(lab);
    const { stdout } = await net.clients[0].namespace.run([
      "ping",
      ...["-n", "-c", "2", "-i", "0.2", "-t", "2", OUTSIDE.first],
    ], { exit: "any" });
    assert.match(
      stdout,
      new RegExp(`From ${ROUTER} icmp_seq=1 Time to live exceeded`),
    );
  },
});

await e2eTest({
  name: "icmp: too big with DF is answered with the MTU of the path",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { net, agents: [agent] } = await startConnectedScenario(lab);
    await net.router.ip("link set out mtu 1280");
    await net.internet.ip("link set eth0 mtu 1280");
    const datagram = {
      address: OUTSIDE.first,
      port: 7,
      size: 1372,
      dontFragment: true,
    };
    const error = await agent.call("udpError", datagram);
    assert.deepEqual(
      error && [error.type, error.code, error.info, error.offender],
      [UNREACHABLE, FRAGMENTATION_NEEDED, 1280, ROUTER],
    );
    // Without DF the same goes through in fragments.
    const { times } = await agent.call("udpEchoTimes", {
      ...datagram,
      size: 1372,
      count: 3,
      timeoutMs: 2000,
    });
    assert.equal(times.length, 3);
  },
});

await e2eTest({
  name: "icmp: an error for a mapping that nobody has goes nowhere",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { agents: [agent], outside } = await startConnectedScenario(lab);
    const { handle } = await agent.call("udpOpen", { port: 40_000 });
    const send = (port: number, text: string) =>
      agent.call("udpSend", { handle, address: OUTSIDE.first, port, text });
    const next = async () =>
      (await agent.call("udpReceive", { handle, timeoutMs: 2000 }))?.text;
    await send(7, "hello");
    assert.equal(await next(), "hello");
    // Outside, somebody provokes an error about a port that has no mapping.
    const closed = await outside.call("udpError", {
      address: GATEWAY_OUTSIDE,
      port: 50_505,
    });
    assert.deepEqual(closed && [closed.type, closed.code], [
      UNREACHABLE,
      PORT_UNREACHABLE,
    ]);
    // An ICMP error never ends a mapping (RFC 4787 REQ-12).
    await send(9999, "nobody there");
    await send(7, "again");
    assert.equal(await next(), "again");
  },
});
