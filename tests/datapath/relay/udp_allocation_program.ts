/**
 * Measures what UDP in the relay worker allocates, per datagram sent and
 * received through a SOCKS5 association; see ../allocation_test.ts for how.
 * Prints a line of JSON for each case.
 */
import { RelayMessage } from "../../../src/core/columns/relay_message.ts";
import { parseAddress } from "../../../src/core/wire/address.ts";
import type { RelayHost } from "../../../src/datapath/relay/relay_guest.ts";
import { UdpCounters } from "../../../src/datapath/relay/udp_counters.ts";
import {
  UDP_RELAY_LIMITS,
  UdpRelay,
} from "../../../src/datapath/relay/udp_relay.ts";
import { Socks5UdpCarrier } from "../../../src/io/outbound/socks5_udp.ts";
import type { StreamSockets } from "../../../src/io/ports/stream_sockets.ts";
import { DatagramRoom } from "../../../src/io/ports/udp_carrier.ts";
import { udpPacket } from "../../core/flow/packets.ts";
import { FakeStreams } from "./dns_fakes.ts";

const BURST = 60;
const BURSTS = 300;
const WARM_UP = 300;
const ROUNDS = 3;
const CONTROL = 10;
const DATA = 11;
const CONTROL_TAG = 0;
const DATA_TAG = 1;
const WOULD_BLOCK = -11;

declare const gc: () => void;

/** A proxy that grants, then gives `left` datagrams. */
class QuietSockets {
  readonly #talk = [[5, 0], [5, 0, 0, 1, 127, 0, 0, 1, 4, 56]];
  readonly #datagram: Uint8Array;
  left = 0;
  sent = 0;

  constructor(datagram: readonly number[]) {
    this.#datagram = Uint8Array.from(datagram);
  }

  connect = () => CONTROL;
  connectResult = () => 0;
  openDatagram = () => DATA;
  connectDatagram = () => 0;
  localPort = () => 40_000;
  keepAlive = () => 0;
  close = () => {};
  discard = (_: number, __: Uint8Array, length: number) => {
    this.#talk.shift();
    return length;
  };
  peek = (_: number, bytes: Uint8Array) => {
    const [next] = this.#talk;
    if (next === undefined) return WOULD_BLOCK;
    bytes.set(next);
    return next.length;
  };
  send = (_: number, __: Uint8Array, length: number) => {
    this.sent++;
    return length;
  };
  receive = (descriptor: number, bytes: Uint8Array) => {
    if (descriptor === CONTROL || this.left === 0) return WOULD_BLOCK;
    this.left--;
    const datagram = this.#datagram;
    for (let i = 0; i < datagram.length; i++) bytes[i] = datagram[i];
    return datagram.length;
  };
}

/** A new number on the heap each time, as a clock gives it. */
let time = 1000;

function measure(name: string, packet: Uint8Array, header: number[]): void {
  const answer = [...header, ...packet.subarray(packet.length - 100)];
  const quiet = new QuietSockets(answer);
  const sockets = quiet as Partial<StreamSockets> as StreamSockets;
  let answered = 0;
  const host: RelayHost = {
    watch: () => true,
    change: () => {},
    forget: () => {},
    answer: () => {
      answered++;
      return true;
    },
    tell: (line) => {
      throw new Error(line);
    },
  };
  const words = Int32Array.from(parseAddress("127.0.0.1")!);
  const proxy = { words, port: 1080, host: "127.0.0.1" };
  const room = new DatagramRoom();
  const relay = new UdpRelay({
    host,
    sockets,
    dialer: new FakeStreams().dialer,
    carrier: new Socks5UdpCarrier({ kind: "socks5", proxy }, { sockets, room }),
    counters: new UdpCounters(new SharedArrayBuffer(UdpCounters.byteLength)),
    limits: UDP_RELAY_LIMITS,
    seed: 1,
  });
  const send = () => {
    const { length } = packet;
    for (let n = 0; n < BURST; n++) {
      relay.message(RelayMessage.Udp, 0, 0, packet, 0, length, time);
    }
  };
  const receive = () => {
    quiet.left = BURST;
    relay.ready(DATA_TAG, 1, time);
  };
  send();
  relay.ready(CONTROL_TAG, 1, time);
  report(`${name}: sent`, send, () => quiet.sent);
  report(`${name}: received`, receive, () => answered);
}

function report(name: string, burst: () => void, done: () => number): void {
  const step = () => {
    time += 0.37;
    burst();
  };
  for (let n = 0; n < WARM_UP; n++) step();
  let perPacket = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const before = done();
    gc();
    const heap = Deno.memoryUsage().heapUsed;
    for (let n = 0; n < BURSTS; n++) step();
    const grown = Math.abs(Deno.memoryUsage().heapUsed - heap);
    if (done() - before !== BURST * BURSTS) throw new Error(`${name}: lost`);
    perPacket = Math.min(perPacket, grown / (BURST * BURSTS));
  }
  console.log(JSON.stringify({ name, perPacket }));
}

/** Something that allocates, to show that the measure works. */
let kept = { value: 0 };
report("control", () => {
  for (let n = 0; n < BURST; n++) kept = { value: kept.value + 1 };
}, () => kept.value);

const ports = { fromPort: 4000, toPort: 9 };
const data = new Array<number>(500).fill(7);
measure(
  "IPv4",
  udpPacket({ from: "10.0.0.2", to: "192.0.2.1", ...ports }, data),
  [0, 0, 0, 1, 192, 0, 2, 1, 0, 9],
);
measure(
  "IPv6",
  udpPacket({
    from: "fd00:0:0:0:0:0:0:2",
    to: "2001:db8:0:0:0:0:0:1",
    ...ports,
  }, data),
  [0, 0, 0, 4, 0x20, 1, 0xd, 0xb8, ...new Array(11).fill(0), 1, 0, 9],
);
