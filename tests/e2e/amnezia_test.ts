/** AmneziaWG, our client to our server with every parameter in use, as seen on the wire. */
import { AMNEZIA_SHARED } from "../support/amnezia.ts";
import assert from "node:assert/strict";
import { Capture, type CapturedDatagram } from "../support/capture.ts";
import { e2eTest } from "../support/e2e.ts";
import { OUTSIDE } from "../support/gateway_net.ts";
import {
  ping,
  startScenario,
  WIREGUARD_NEEDS,
  wireguardGoClient,
} from "../support/scenario.ts";
import { connectTo, dropCount, PORT, TUNNEL } from "../support/sluice.ts";
import { startWireguardGo, wgShow } from "../support/wireguard_go.ts";

const JUNK = { jc: 5, jmin: 41, jmax: 57 };
const SPECIAL = {
  i1: "<b 0xc0ff00ee><r 25><t>",
  i2: "<rd 30><b 0x0a>",
  i3: "<rc 21><c>",
  i4: "<b 0x16030100><r 66>",
  i5: "<t><c><rd 5><rc 5><r 5>",
};
const SERVER_SIDE = { ...AMNEZIA_SHARED, ...JUNK };

function confLines(parameters: Record<string, string | number>): string[] {
  return Object.entries(parameters).map(([key, value]) =>
    `${key[0].toUpperCase()}${key.slice(1)} = ${value}`
  );
}

const CLIENT_LINES = confLines({ ...AMNEZIA_SHARED, ...JUNK, ...SPECIAL });

function readU32le(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);
}

function readU32be(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(at);
}

function text(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

function isInitiation({ payload }: CapturedDatagram): boolean {
  return payload.length === AMNEZIA_SHARED.s1 + 148 &&
    inRange(readU32le(payload, AMNEZIA_SHARED.s1), AMNEZIA_SHARED.h1);
}

function inRange(value: number, range: string): boolean {
  const [low, high] = range.split("-").map(Number);
  return value >= low && value <= high;
}

/** I1 to I5 in order, each by its tags. */
function assertSpecial(payloads: readonly Uint8Array[]): void {
  const [i1, i2, i3, i4, i5] = payloads;
  const now = Date.now() / 1000;
  assert.equal(i1.length, 4 + 25 + 4);
  assert.equal(readU32be(i1, 0), 0xc0ff00ee);
  assert.ok(Math.abs(readU32be(i1, 29) - now) < 60, "Unix time in I1");
  assert.match(text(i2), /^[0-9]{30}\n$/);
  assert.match(text(i3.subarray(0, 21)), /^[A-Za-z]{21}$/);
  assert.equal(i3.length, 25);
  assert.equal(readU32be(i4, 0), 0x16030100);
  assert.equal(i4.length, 70);
  assert.ok(Math.abs(readU32be(i5, 0) - now) < 60, "Unix time in I5");
  assert.match(text(i5.subarray(8, 18)), /^[0-9]{5}[A-Za-z]{5}$/);
  assert.equal(i5.length, 23);
}

function assertNoWireguard(datagrams: readonly CapturedDatagram[]): void {
  for (const { payload } of datagrams) {
    const type = payload.length >= 4 ? readU32le(payload, 0) : 0;
    assert.ok(type < 1 || type > 4, `a message of WireGuard's type ${type}`);
    assert.ok(![148, 92, 64, 32].includes(payload.length));
    // Transport data of WireGuard is a multiple of 16; ours never is.
    if (payload.length > 128) assert.notEqual(payload.length % 16, 0);
  }
}

await e2eTest({
  name:
    "amnezia: every parameter in use, and nothing on the wire is WireGuard's",
  needs: ["tun", { program: "ping" }, { program: "tcpdump" }],
  run: async (lab) => {
    const { net, server, clients } = await startScenario(lab, {
      config: { interface: { amnezia: SERVER_SIDE } },
    });
    const [place] = net.clients;
    const capture = await Capture.start(place.namespace, "eth0", "udp");
    await connectTo(server, place, clients[0], {
      interfaceLines: CLIENT_LINES,
    });
    await place.namespace.waitUntilReaches(TUNNEL.gateway);
    for (const address of [TUNNEL.gateway, OUTSIDE.first]) {
      for (const size of ["56", "1000", "3000"]) {
        const result = await ping(place, address, {
          count: 5,
          more: ["-s", size],
        });
        assert.deepEqual(result, { sent: 5, received: 5 });
      }
    }
    const datagrams = await capture.stopDatagrams();
    assertNoWireguard(datagrams);

    const sent = datagrams.filter((d) => d.destinationPort === PORT);
    const received = datagrams.filter((d) => d.sourcePort === PORT);
    assertSpecial(sent.slice(0, 5).map((d) => d.payload));
    const junk = sent.slice(5, 5 + JUNK.jc).map((d) => d.payload.length);
    assert.ok(
      junk.every((length) => length >= JUNK.jmin && length <= JUNK.jmax),
      `junk of ${junk}`,
    );
    assert.ok(isInitiation(sent[5 + JUNK.jc]), "then the initiation");

    const response = received[0].payload;
    assert.equal(response.length, AMNEZIA_SHARED.s2 + 92);
    assert.ok(
      inRange(readU32le(response, AMNEZIA_SHARED.s2), AMNEZIA_SHARED.h2),
    );
    const data = [...sent.slice(6 + JUNK.jc), ...received.slice(1)];
    const headers = data.map(({ payload }) =>
      readU32le(payload, AMNEZIA_SHARED.s4)
    );
    assert.ok(headers.every((value) => inRange(value, AMNEZIA_SHARED.h4)));
    assert.ok(new Set(headers).size > 10, "each message draws its own");
  },
});

await e2eTest({
  name: "amnezia: under load the cookie has its prefix and header too",
  needs: ["tun", { program: "ping" }, { program: "tcpdump" }],
  run: async (lab) => {
    const { net, server, clients } = await startScenario(lab, {
      config: { interface: { amnezia: SERVER_SIDE } },
      env: { SLUICE_TEST_UNDER_LOAD: "1" },
    });
    const [place] = net.clients;
    const capture = await Capture.start(place.namespace, "eth0", "udp");
    await connectTo(server, place, clients[0], {
      interfaceLines: CLIENT_LINES,
    });
    await place.namespace.waitUntilReaches(TUNNEL.gateway);
    const datagrams = await capture.stopDatagrams();
    assertNoWireguard(datagrams);
    const [cookie] = datagrams.filter((d) => d.sourcePort === PORT);
    assert.equal(cookie.payload.length, AMNEZIA_SHARED.s3 + 64);
    assert.ok(
      inRange(readU32le(cookie.payload, AMNEZIA_SHARED.s3), AMNEZIA_SHARED.h3),
    );
    // The retry brings its junk again.
    const initiations = datagrams.flatMap((d, i) => isInitiation(d) ? [i] : []);
    assert.ok(initiations.length >= 2);
    const between = datagrams.slice(initiations[0] + 1, initiations[1])
      .filter((d) => d.destinationPort === PORT);
    assert.equal(between.length, 5 + JUNK.jc);
  },
});

await e2eTest({
  name: "amnezia: a plain WireGuard client is refused in silence",
  needs: [...WIREGUARD_NEEDS, { program: "tcpdump" }],
  run: async (lab) => {
    const { net, server, clients } = await startScenario(lab, {
      config: { interface: { amnezia: SERVER_SIDE } },
    });
    const [place] = net.clients;
    const capture = await Capture.start(
      place.namespace,
      "eth0",
      `udp src port ${PORT}`,
    );
    const tunnel = await startWireguardGo(
      place.namespace,
      wireguardGoClient(server, place, clients[0]),
    );
    const result = await ping(place, TUNNEL.gateway, { count: 7, interval: 1 });
    assert.equal(result.received, 0);
    const state = (await wgShow(place.namespace, tunnel.name)).get(
      server.keys.publicKey,
    )!;
    assert.equal(state.latestHandshake, 0);
    assert.deepEqual(await capture.stopDatagrams(), []);
    await server.process.stop();
    assert.ok(dropCount(server.process, "not a WireGuard message") >= 2);
  },
});
