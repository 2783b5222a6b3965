/**
 * Measures what the packet path allocates: run with V8's semi-spaces so large
 * that nothing is collected meanwhile, and `--expose-gc`. Prints a line of JSON
 * for each case: its name, and bytes allocated per packet.
 *
 *     host -> A seals -> wire -> B opens -> host | outside | peer C | echo | TCP's kernel
 *     outside | TCP's kernel -> B seals -> wire
 */
import { Batch } from "../../../src/core/columns/batch.ts";
import {
  type Counters,
  Direction,
} from "../../../src/core/columns/counters.ts";
import { RelayMessage } from "../../../src/core/columns/relay_message.ts";
import { DropReason } from "../../../src/core/columns/drop_reason.ts";
import { Gateway, gatewayConfig } from "../../../src/core/engine/gateway.ts";
import { RedirectState } from "../../../src/core/flow/redirect_table.ts";
import { TCP_RELAY_DEFAULTS } from "../../../src/core/engine/tcp_relay_config.ts";
import { PointToPoint } from "../../../src/core/engine/point_to_point.ts";
import { parseEndpoint, parsePrefix } from "../../../src/core/wire/address.ts";
import type { MessageFormat } from "../../../src/core/wireguard/classify.ts";
import { SessionState } from "../../../src/core/wireguard/session_table.ts";
import { ArenaPlan } from "../../../src/datapath/arena.ts";
import { ControlLink } from "../../../src/datapath/control_link.ts";
import {
  type AeadName,
  selectAead,
} from "../../../src/datapath/crypto/select_aead.ts";
import { Dispatcher } from "../../../src/datapath/dispatcher.ts";
import { instantiateKernels } from "../../../src/datapath/kernels/kernels.ts";
import { OpenPump } from "../../../src/datapath/open_pump.ts";
import { Opener } from "../../../src/datapath/opener.ts";
import type { Pump } from "../../../src/datapath/pump_loop.ts";
import { RandomPool } from "../../../src/datapath/random_pool.ts";
import { RelayLink } from "../../../src/datapath/relay_link.ts";
import { SealPump } from "../../../src/datapath/seal_pump.ts";
import {
  SEAL_TAILROOM,
  Sealer,
  sealHeadroom,
} from "../../../src/datapath/sealer.ts";
import {
  attachTables,
  createSharedState,
  type SharedTables,
  Thread,
} from "../../../src/datapath/shared_state.ts";
import { type Poller, Ready } from "../../../src/io/ports.ts";
import { echoPacket, tcpPacket, udpPacket } from "../../core/flow/packets.ts";
import { ACK, segment } from "../../core/flow/segments.ts";
import { LoopOutside, LoopTun, Wire, WireSocket } from "./ports.ts";

const ROWS = 512;
/** Packets at a time, as a train brings them. */
const BURST = 200;
const MTU = 1420;
const REJECT_AFTER_MS = 180_000;
/** Above 2^31, as half of all session indices are. */
const INDEX = 0xabcdef00;

/** AmneziaWG in full: what is drawn for each message is drawn here too. */
const FORMAT: MessageFormat = {
  prefix: Int32Array.of(1, 2, 3, 17),
  headerFirst: Uint32Array.of(10, 20, 30, 0x90000000),
  headerLast: Uint32Array.of(19, 29, 39, 0xffffffff),
};

/** A clock as workers have it: milliseconds with a fraction. */
let time = 1_000_000.25;

class OneSocketPoller implements Poller {
  readonly outsideCount = 1;
  wait = () => 0;
  outsideRow = () => 0;
  outsideHandle = () => 1;
  outsideError = () => false;
  [Symbol.dispose](): void {}
}

interface EndOptions {
  readonly crypto: AeadName;
  readonly inward: Wire;
  readonly outward: Wire;
  readonly engine: "gateway" | "proxy" | "point-to-point";
}

/** A relay that nobody has to wake. */
const WAKE = {
  descriptor: -1,
  signal: () => {},
  drain: () => {},
  [Symbol.dispose]: () => {},
};
const RELAY = { address: parsePrefix("198.18.254.1/24")!, port: 4433 };

/** One end with both pumps in one worker, as on one core. */
class End {
  readonly tables: SharedTables;
  readonly tun: LoopTun;
  readonly outside: LoopOutside;
  readonly counters: Counters;
  readonly open: Pump;
  readonly seal: Pump;

  constructor(options: EndOptions) {
    this.tables = attachTables(createSharedState({
      peers: 8,
      sessions: 32,
      allowedIps: { nodes: 128 },
      nat: { capacity: 64, peers: 8, remotes: 64 },
      redirects: { capacity: 64, peers: 8, generations: 64 },
      ringBytes: 1 << 16,
    }));
    const { peers, sessions, allowedIps, nat } = this.tables;
    const kernels = instantiateKernels({ arenaBytes: 6 << 20 });
    const { bytes, firstFree } = kernels;
    const plan = new ArenaPlan(firstFree, bytes.length);
    const spare = plan.take(1 << 20);
    const batch = new Batch({
      bytes,
      capacity: ROWS,
      spareStart: spare.start,
      spareEnd: spare.end,
      headroom: sealHeadroom(FORMAT),
      tailroom: SEAL_TAILROOM,
    });
    const { inward, outward } = options;
    const socket = new WireSocket(bytes, plan.take(1 << 20), inward, outward);
    const tun = new LoopTun(bytes, plan.take(1 << 20));
    const outside = new LoopOutside(bytes, plan.take(1 << 20));
    this.tun = tun;
    this.outside = outside;
    const { aead } = selectAead(kernels, { force: options.crypto });
    const counters = this.tables.counters[Thread.OpenPump];
    this.counters = counters;
    const link = new ControlLink(
      this.tables.rings[Thread.OpenPump],
      peers,
      this.tables.bell,
      true,
    );
    const common = {
      sessions,
      peers,
      format: FORMAT,
      aead,
      rejectAfterMs: REJECT_AFTER_MS,
      rows: ROWS,
    };
    const sealer = new Sealer({
      ...common,
      bytes,
      socket,
      random: new RandomPool(),
      writer: Thread.OpenPump,
      mtu: MTU,
    });
    const { redirects, relayRing } = this.tables;
    const relay = new RelayLink(relayRing!, WAKE, redirects!);
    const gateway = options.engine !== "point-to-point"
      ? new Gateway({
        config: gatewayConfig({
          address4: 0x0a080001,
          subnets: [parsePrefix("10.8.0.0/24")!],
          tcp: options.engine === "proxy" ? "proxy" : "drop",
          relay: { ...TCP_RELAY_DEFAULTS, ipv4: RELAY, ipv6: undefined },
        }),
        nat: nat!,
        allowedIps,
        sockets: outside,
        redirects,
        relay,
      })
      : undefined;
    const ways = { sealer, socket, link, counters };
    this.open = new OpenPump({
      socket,
      opener: new Opener({ ...common, link }),
      engine: gateway ?? new PointToPoint(allowedIps),
      dispatcher: new Dispatcher({
        ...ways,
        tun,
        outside: gateway &&
          { port: outside, nat: nat!, failed: () => {} },
        relay: { link: relay, failed: () => {} },
        rows: "packed",
      }),
      counters,
      batch,
      commands: this.tables.rings[Thread.Control],
      nextTick: this.tables.nextTick,
    });
    this.seal = new SealPump({
      poller: new OneSocketPoller(),
      engine: gateway ?? new PointToPoint(allowedIps),
      sealer,
      dispatcher: new Dispatcher({
        ...ways,
        tun: undefined,
        outside: undefined,
        rows: "sealed",
      }),
      counters,
      batch,
      tun,
      outside: gateway && { port: outside, nat: nat!, engine: gateway },
    });
  }

  /** Adds a peer with a session, which has the same index and key everywhere. */
  addPeer(peer: number, prefixes: readonly string[]): void {
    const { peers, allowedIps, sessions } = this.tables;
    const endpoint = parseEndpoint("10.11.12.13:1000")!;
    peers.add(peer);
    peers.setEndpoint(peer, endpoint.words, 0, endpoint.port);
    for (const text of prefixes) {
      const { words, family, length } = parsePrefix(text)!;
      allowedIps.insert(words, family === 4 ? 96 + length : length, peer);
    }
    const key = new Uint8Array(32).fill(7);
    const slot = sessions.install(peer, INDEX, SessionState.Confirmed, {
      remoteIndex: INDEX | peer,
      initiator: true,
      now: time,
      sendKey: key,
      receiveKey: key,
    });
    peers.setSessions(peer, slot, -1, -1);
  }
}

function run(pump: Pump, ready: number): void {
  pump.notice(ready, time);
  while (pump.take()) {
    pump.work();
    pump.finish();
  }
}

/** What one case does again and again. */
interface Case {
  readonly name: string;
  readonly burst: () => void;
  /** Packets so far that went where the case wants them. */
  readonly arrived: () => number;
}

/** A client, and a server that has it as peer 0 and another one as peer 1. */
function pair(crypto: AeadName, engine: EndOptions["engine"]) {
  const there = new Wire(), back = new Wire();
  const client = new End({
    crypto,
    inward: back,
    outward: there,
    engine: "point-to-point",
  });
  const server = new End({ crypto, inward: there, outward: back, engine });
  client.addPeer(0, ["0.0.0.0/0", "::/0"]);
  server.addPeer(0, ["10.8.0.2/32", "fd00::2/128"]);
  server.addPeer(1, ["10.8.0.3/32"]);
  return { client, server, back };
}

/** Packets of the client, and what becomes of them at the server. */
interface Outbound {
  readonly engine: EndOptions["engine"];
  readonly packets: readonly Uint8Array[];
  readonly to: keyof typeof Direction | DropReason;
}

function outbound(crypto: AeadName, name: string, what: Outbound): Case {
  const { client, server, back } = pair(crypto, what.engine);
  const { to } = what;
  client.tun.packets = what.packets;
  return {
    name: `${crypto}: ${name}`,
    burst() {
      client.tun.burst = BURST;
      run(client.seal, Ready.Tun);
      run(server.open, Ready.Tunnel);
      back.count = 0;
    },
    arrived: () =>
      typeof to === "string"
        ? server.counters.packets(Direction[to])
        : server.counters.drops(to),
  };
}

/** Datagrams from outside to the client. */
function inbound(crypto: AeadName): Case {
  const { client, server } = pair(crypto, "gateway");
  client.tun.packets = [udp(OUT, 10)];
  client.tun.burst = 1;
  run(client.seal, Ready.Tun);
  run(server.open, Ready.Tunnel); // makes the mapping
  return {
    name: `${crypto}: from outside`,
    burst() {
      server.outside.burst = BURST;
      run(server.seal, Ready.Outside);
      run(client.open, Ready.Tunnel);
    },
    arrived: () => client.counters.packets(Direction.ToHost),
  };
}

/** A connection that the kernel ends: one way of it. */
function redirected(crypto: AeadName, way: "out" | "back"): Case {
  const { client, server, back } = pair(crypto, "proxy");
  client.tun.packets = [SYN];
  client.tun.burst = 1;
  run(client.seal, Ready.Tun);
  run(server.open, Ready.Tunnel); // begins it
  const { relayRing, redirects } = server.tables;
  let row = -1, generation = -1;
  relayRing!.read((kind, a, b) => {
    if (kind === RelayMessage.Dial) [row, generation] = [a, b];
  });
  redirects!.settle(row, generation, RedirectState.Open);
  const numbers = { flags: ACK, seq: 257, ack: 9, data: data(600) };
  const ends = { from: FROM, to: OUT, fromPort: 1, toPort: 80 };
  client.tun.packets = [segment({ ...ends, ...numbers })];
  const beside = `198.18.254.${2 + generation}`;
  const kernel = { from: "198.18.254.1", to: beside, fromPort: RELAY.port };
  server.tun.packets = [
    segment({ ...kernel, toPort: 1024 + row, ...numbers }),
  ];
  if (way === "out") {
    return {
      name: `${crypto}: TCP to the kernel`,
      burst() {
        client.tun.burst = BURST;
        run(client.seal, Ready.Tun);
        run(server.open, Ready.Tunnel);
        back.count = 0;
      },
      arrived: () => server.counters.packets(Direction.ToHost),
    };
  }
  return {
    name: `${crypto}: TCP from the kernel`,
    burst() {
      server.tun.burst = BURST;
      run(server.seal, Ready.Tun);
      run(client.open, Ready.Tunnel);
    },
    arrived: () => client.counters.packets(Direction.ToHost),
  };
}

const FROM = "10.8.0.2";
const OUT = "1.2.3.4";
const data = (length: number) => new Array<number>(length).fill(5);

function udp(to: string, length: number, from = FROM): Uint8Array {
  return udpPacket({ from, to, fromPort: 4000, toPort: 5000 }, data(length));
}

const echo = (to: string) => echoPacket({ from: FROM, to, id16: 7 }, data(56));
const SYN = tcpPacket({ from: FROM, to: OUT, fromPort: 1, toPort: 80 });
const SIX = udp("fd00:0:0:0:0:0:0:9", 500, "fd00:0:0:0:0:0:0:2");

function cases(crypto: AeadName): Case[] {
  const client = (to: Outbound["to"], ...packets: Uint8Array[]): Outbound => {
    return { engine: "point-to-point", packets, to };
  };
  const gateway = (to: Outbound["to"], ...packets: Uint8Array[]): Outbound => {
    return { engine: "gateway", packets, to };
  };
  const spoofed = udp(OUT, 100, "10.8.0.3");
  // A prime number of sizes, so that no row ever has the same one.
  const mixed = Array.from({ length: 97 }, (_, n) => udp(OUT, (n * 61) % 900));
  return [
    outbound(crypto, "small to the host", client("ToHost", udp(OUT, 60))),
    outbound(crypto, "large to the host", client("ToHost", udp(OUT, 700))),
    outbound(crypto, "mixed to the host", client("ToHost", ...mixed)),
    outbound(crypto, "IPv6 to the host", client("ToHost", SIX)),
    outbound(crypto, "UDP outside", gateway("ToOutside", udp(OUT, 600))),
    outbound(crypto, "echo outside", gateway("ToOutside", echo(OUT))),
    outbound(crypto, "relayed", gateway("ToTunnel", udp("10.8.0.3", 300))),
    outbound(crypto, "echo answered", gateway("ToTunnel", echo("10.8.0.1"))),
    outbound(crypto, "refused", gateway(DropReason.TcpPolicyDrop, SYN)),
    outbound(crypto, "spoofed", gateway(DropReason.SpoofedSource, spoofed)),
    inbound(crypto),
    redirected(crypto, "out"),
    redirected(crypto, "back"),
  ];
}

const WARM_UP = 200;
const ROUNDS = 3;
const BURSTS = 100;
const PACKETS = (WARM_UP + ROUNDS * BURSTS) * BURST;

declare const gc: () => void;

/** The least of some rounds: what the compiler leaves behind is in one or two. */
function bytesPerPacket(burst: () => void): number {
  for (let n = 0; n < WARM_UP; n++) step(burst);
  let least = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    gc();
    const before = Deno.memoryUsage().heapUsed;
    for (let n = 0; n < BURSTS; n++) step(burst);
    const after = Deno.memoryUsage().heapUsed;
    least = Math.min(least, Math.abs(after - before) / (BURSTS * BURST));
  }
  return least;
}

function step(burst: () => void): void {
  time += 0.37;
  burst();
}

/** Something that allocates, to show that the measure works. */
let kept = { value: 0 };
const ALLOCATING: Case = {
  name: "control",
  burst() {
    for (let n = 0; n < BURST; n++) kept = { value: kept.value + 1 };
  },
  arrived: () => kept.value,
};

for (const one of [ALLOCATING, ...(Deno.args as AeadName[]).flatMap(cases)]) {
  const before = one.arrived();
  const perPacket = bytesPerPacket(one.burst);
  const missing = PACKETS - (one.arrived() - before);
  console.log(JSON.stringify({ name: one.name, perPacket, missing }));
}
