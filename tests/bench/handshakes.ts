/**
 * `deno run -A tests/bench/handshakes.ts`: handshakes a second on one core, as
 * responder and as initiator: all that the control thread does for one, without
 * sockets. X25519 by node:crypto, as in the product, and by the portable one, in
 * turns. A responder that is under load answers with a cookie instead: what
 * refusing a message costs then stands beside them.
 */
import { Command } from "@commander-js/extra-typings";
import { DropReason } from "../../src/core/columns/drop_reason.ts";
import { setMappedIpv4 } from "../../src/core/wire/address.ts";
import { Device } from "../../src/core/wireguard/device.ts";
import { AllowedIps } from "../../src/core/wireguard/allowed_ips.ts";
import { noblePrimitives } from "../../src/core/wireguard/noble_primitives.ts";
import { PeerTable } from "../../src/core/wireguard/peer_table.ts";
import type { NoisePrimitives } from "../../src/core/wireguard/primitives.ts";
import { SessionTable } from "../../src/core/wireguard/session_table.ts";
import { nodePrimitives } from "../../src/datapath/crypto/node_primitives.ts";
import { Random } from "../core/wireguard/hex.ts";
import { formatSeries, writeSection } from "./report.ts";
import type { Series } from "./throughput.ts";

const NOW = 10_000;
const SERVER_PORT = 51820, FIRST_CLIENT_PORT = 20_000;
const SERVER = words(0xc000_0201), CLIENT = words(0xc000_0202); // 192.0.2.1, .2
const CONTENDERS: readonly (readonly [string, NoisePrimitives])[] = [
  ["node:crypto", nodePrimitives],
  ["portable", noblePrimitives],
];

function words(address: number): Int32Array {
  const made = new Int32Array(4);
  setMappedIpv4(made, 0, address);
  return made;
}

function openDevice(random: Random, capacity: number, by: NoisePrimitives) {
  const nodes = { nodes: 8 * capacity }, slots = 4 * capacity;
  return new Device({
    privateKey: random.bytes(32),
    peers: new PeerTable(
      new ArrayBuffer(PeerTable.byteLength(capacity)),
      capacity,
    ),
    sessions: new SessionTable(
      new ArrayBuffer(SessionTable.byteLength(slots)),
      slots,
    ),
    allowedIps: new AllowedIps(
      new ArrayBuffer(AllowedIps.byteLength(nodes)),
      nodes,
    ),
    primitives: by,
    random: random.fill,
    wallTime: () => 1_700_000_000_000,
    rateLimits: { perSecond: 1e9, burst: 1e9, buckets: 8 },
  });
}

/** The one datagram that a device wants sent. */
function datagram(device: Device): Uint8Array {
  for (;;) {
    const output = device.poll();
    if (output === undefined) throw new Error("nothing to send");
    if (output.kind === "datagram") return output.bytes;
  }
}

function drain(device: Device): void {
  while (device.poll() !== undefined);
}

/** Handshakes a second: as responder, as initiator, and cookies under load. */
function measure(by: NoisePrimitives, count: number): readonly number[] {
  const random = new Random(count);
  const server = openDevice(random, 2 ** Math.ceil(Math.log2(count)), by);
  server.setLoadMode("never");
  const clients = Array.from({ length: count }, () => {
    const device = openDevice(random, 1, by);
    const peer = device.peers.add(server.publicKey, {
      now: NOW,
      endpoint: { words: SERVER, port: SERVER_PORT },
    });
    server.peers.add(device.publicKey, { now: NOW });
    return { device, peer };
  });
  const packet = new Uint8Array(20);
  const started = performance.now();
  const initiations = clients.map(({ device, peer }) => {
    device.stagePacket(peer, packet, NOW);
    return datagram(device);
  });
  const initiated = performance.now();
  const responses = initiations.map((bytes, i) => {
    const port = FIRST_CLIENT_PORT + i;
    const result = server.handleDatagram(bytes, CLIENT, port, NOW);
    if (result !== DropReason.None) throw new Error("initiation refused");
    return datagram(server);
  });
  const responded = performance.now();
  responses.forEach((bytes, i) => {
    const { device } = clients[i];
    const result = device.handleDatagram(bytes, SERVER, SERVER_PORT, NOW);
    if (result !== DropReason.None) throw new Error("response refused");
    drain(device);
  });
  const finished = performance.now();
  server.setLoadMode("always");
  const refusing = performance.now();
  initiations.forEach((bytes, i) => {
    server.handleDatagram(bytes, CLIENT, FIRST_CLIENT_PORT + i, NOW);
    drain(server);
  });
  const refused = performance.now();
  const perSecond = (ms: number) => 1000 * count / ms;
  return [
    perSecond(responded - initiated),
    perSecond(initiated - started + finished - responded),
    perSecond(refused - refusing),
  ];
}

const options = new Command("handshakes")
  .description("handshakes a second on one core")
  .option("--rounds <n>", "how often", Number, 5)
  .option("--count <n>", "handshakes a round", Number, 300)
  .option("--write <title>", "keep the table in RESULTS.md under this title")
  .parse(["deno", "handshakes", ...Deno.args]).opts();

const rows = [
  "as responder",
  "as initiator, both messages",
  "under load, answered by a cookie",
].map((name): Series => ({
  name,
  unit: "/s",
  better: "more",
  values: new Map(CONTENDERS.map(([contender]) => [contender, []])),
}));
for (let round = 0; round < options.rounds; round++) {
  for (const [contender, primitives] of CONTENDERS) {
    measure(primitives, options.count).forEach((value, i) =>
      rows[i].values.get(contender)!.push(value)
    );
  }
}
const table = formatSeries(rows, CONTENDERS.map(([name]) => name));
console.log(table);
if (options.write !== undefined) {
  await writeSection(
    options.write,
    `\`deno run -A tests/bench/handshakes.ts --rounds ${options.rounds} --count ${options.count}\`:
handshakes a second, all that the control thread does for one, without sockets;
one thread.

${table}
`,
  );
}
