/** A split tunnel over its tables, its sockets pretended, and those whom it asks. */
import { Batch } from "../../../src/core/columns/batch.ts";
import {
  type DropReason,
  dropReasonText,
} from "../../../src/core/columns/drop_reason.ts";
import { Verdict } from "../../../src/core/columns/verdict.ts";
import { VerdictCounters } from "../../../src/core/columns/verdict_counters.ts";
import { gatewayConfig } from "../../../src/core/engine/gateway_config.ts";
import { HOST, SplitTunnel } from "../../../src/core/engine/split_tunnel.ts";
import {
  SPLIT_TUNNEL_DEFAULTS,
  type SplitTunnelConfig,
} from "../../../src/core/engine/split_tunnel_config.ts";
import { TCP_RELAY_DEFAULTS } from "../../../src/core/engine/tcp_relay_config.ts";
import {
  FlowTable,
  type FlowVerdict,
} from "../../../src/core/flow/flow_table.ts";
import { NatTable } from "../../../src/core/flow/nat.ts";
import {
  RedirectState,
  RedirectTable,
} from "../../../src/core/flow/redirect_table.ts";
import { parsePrefix } from "../../../src/core/wire/address.ts";
import { AllowedIps } from "../../../src/core/wireguard/allowed_ips.ts";
import { addressWords } from "../flow/packets.ts";
import { FakeSockets } from "./world.ts";

export const HOST4 = "10.0.0.1";
export const HOST6 = "fd00:0:0:0:0:0:0:1";
export const RELAY4 = "198.18.254.1";
export const RELAY6 = "fd73:6c75:6963:6500:0:0:0:1";
/** The tunnels' own addresses; the second has no IPv6. */
export const NEAR = {
  2: ["10.77.0.2", "fd77:0:0:0:0:0:0:2"],
  3: ["10.78.0.2", undefined],
} as const;
export const TUNNEL_MTU = 1400;
/** The port of a tunnel's own socket is this, and the outbound's number. */
export const OWN_PORT = 51_000;
const PEER = 5;
const ROW_ROOM = 66_000;
const HEADROOM = 64;

/** A row, copied out of its batch. */
export interface Seen {
  readonly verdict: string;
  readonly target: number | string;
  readonly bytes: number[];
}

/** What was asked. */
export interface Asked {
  readonly flow: number;
  readonly generation: number;
}

/** See the module header. */
export class SplitWorld {
  readonly sockets = new FakeSockets();
  readonly nat: NatTable;
  readonly redirects: RedirectTable;
  readonly flows: FlowTable;
  readonly counters = new VerdictCounters(
    new ArrayBuffer(VerdictCounters.byteLength),
  );
  readonly asked: Asked[] = [];
  readonly ended: string[] = [];
  readonly answers: { flow: number; payload: number[] }[] = [];
  readonly abandoned: number[] = [];
  /** Connections of the relay's that were ended at once. */
  readonly cut: string[] = [];
  /** Called while the flow is still there. */
  onEnded: (flow: number) => void = () => {};
  /** Whether what is asked finds room. */
  canAsk = true;
  readonly engine: SplitTunnel;
  readonly batch: Batch;
  now = 1_000_000;

  constructor(
    options: Partial<Omit<SplitTunnelConfig, "gateway">> & {
      readonly capacity?: number;
    } = {},
  ) {
    const { capacity = 64, ...config } = options;
    const nat = { capacity: 64, peers: 1, remotes: 8 };
    this.nat = new NatTable(new ArrayBuffer(NatTable.byteLength(nat)), nat);
    const redirects = { capacity: 64, peers: 1, generations: 8 };
    this.redirects = new RedirectTable(
      new ArrayBuffer(RedirectTable.byteLength(redirects)),
      redirects,
    );
    const flows = { capacity, seed: 3 };
    this.flows = new FlowTable(
      new ArrayBuffer(FlowTable.byteLength(flows)),
      flows,
    );
    this.engine = new SplitTunnel({
      config: {
        ...SPLIT_TUNNEL_DEFAULTS,
        held: { short: 64, long: 2, perFlow: 4 },
        ...config,
        gateway: gatewayConfig({
          address4: 0xc612fefe,
          address6: addressWords("fd73:6c75:6963:6500:0:0:0:fe"),
          subnets: [parsePrefix(`${HOST4}/24`)!],
          mtu: 1500,
          host: "absent",
          tcp: "proxy",
          relay: {
            ...TCP_RELAY_DEFAULTS,
            ipv4: { address: parsePrefix(`${RELAY4}/24`)!, port: 7004 },
            ipv6: { address: parsePrefix(`${RELAY6}/120`)!, port: 7006 },
            reached: config.direct === "passed" ? "client" : "relay",
          },
          fragmentSlots: 4,
          errorsPerSecond: 100_000,
          errorBurst: 100_000,
        }),
      },
      flows: this.flows,
      outbounds: 8,
      listener: {
        ask: (flow, generation) => {
          if (this.canAsk) this.asked.push({ flow, generation });
          return this.canAsk;
        },
        ended: (flow, generation) => {
          this.ended.push(`${flow}/${generation}`);
          this.onEnded(flow);
        },
        dnsAnswer: (flow, _generation, bytes, at, length) =>
          void this.answers.push({
            flow,
            payload: [...bytes.subarray(at, at + length)],
          }),
      },
      redirects: this.redirects,
      commands: {
        abandon: (row) => {
          this.abandoned.push(row);
          return true;
        },
        end: (row, _generation, outside) => {
          this.cut.push(`${outside} ${row}`);
          return true;
        },
        flush: () => {},
      },
      nat: this.nat,
      sockets: this.sockets,
      counters: this.counters,
    });
    const spareStart = 8 * ROW_ROOM;
    this.batch = new Batch({
      bytes: new Uint8Array(spareStart + 300_000),
      capacity: 128,
      spareStart,
      spareEnd: spareStart + 300_000,
      headroom: HEADROOM,
      tailroom: 0,
    });
  }

  /** Gives an outbound its tunnel. */
  attach(outbound: 2 | 3): void {
    const options = { nodes: 8 };
    const buffer = new ArrayBuffer(AllowedIps.byteLength(options));
    const allowedIps = new AllowedIps(buffer, options);
    allowedIps.insert(new Uint32Array(4), 0, PEER);
    allowedIps.insert(Uint32Array.of(0, 0, 0xffff, 0), 96, PEER);
    const [near4, near6] = NEAR[outbound];
    this.engine.attach(outbound, {
      address4: addressWords(near4),
      address6: near6 === undefined ? new Int32Array(4) : addressWords(near6),
      mtu: TUNNEL_MTU,
      allowedIps,
    }, OWN_PORT + outbound);
  }

  detach(outbound: number): Seen[] {
    this.batch.clear();
    this.engine.detach(this.batch, outbound, this.now);
    return this.seen();
  }

  /** What the interface gives; `partial` for all of them. */
  fromHost(packets: readonly Uint8Array[], partial = 0): Seen[] {
    const { batch } = this;
    this.load(packets);
    batch.partial.fill(partial, 0, batch.count);
    this.engine.fromHost(batch, this.now);
    return this.seen();
  }

  /** What is captured on its way. */
  captured(from: "host" | "network", packets: readonly Uint8Array[]): Seen[] {
    const { batch } = this;
    this.load(packets);
    batch.peer.fill(from === "host" ? HOST : -1, 0, batch.count);
    this.engine.fromHost(batch, this.now);
    return this.seen();
  }

  /** What comes out of a tunnel. */
  fromTunnel(outbound: number, packets: readonly Uint8Array[]): Seen[] {
    const { batch } = this;
    this.load(packets);
    batch.peer.fill(PEER, 0, batch.count);
    this.engine.fromTunnel(batch, outbound, this.now);
    return this.seen();
  }

  /** What arrives at a mapping's socket. */
  fromOutside(
    mapping: number,
    from: string,
    port: number,
    data: number[],
  ): Seen[] {
    const { batch } = this;
    this.load([Uint8Array.from(data)]);
    batch.target[0] = mapping;
    batch.remote.set(addressWords(from), 0);
    batch.remotePort[0] = port;
    this.engine.fromOutside(batch, this.now);
    return this.seen();
  }

  /** Decides about a flow; what follows at once: RSTs. */
  settle(
    { flow, generation }: Asked,
    { way, outbound, rule, to }: FlowVerdict,
  ): Seen[] {
    const { batch, flows } = this;
    batch.clear();
    this.engine.settle(
      batch,
      flow,
      generation,
      way,
      outbound,
      rule,
      to?.words ?? flows.remote,
      to === undefined ? flow * 4 : 0,
      to?.port ?? flows.remotePort[flow],
      this.now,
    );
    return this.seen();
  }

  /** What waited and has been decided. */
  fromHeld(): Seen[] {
    this.batch.clear();
    this.engine.fromHeld(this.batch, this.now);
    return this.seen();
  }

  tick(): Seen[] {
    this.batch.clear();
    this.engine.tick(this.batch, this.now);
    return this.seen();
  }

  /** The relay's dial stands. */
  open(row: number): void {
    const generation = this.redirects.generationOf(row);
    this.redirects.settle(row, generation, RedirectState.Open);
  }

  seen(): Seen[] {
    const { batch } = this;
    return Array.from({ length: batch.count }, (_, row) => {
      const verdict = Object.entries(Verdict)
        .find(([, value]) => value === batch.verdict[row])![0];
      const target = batch.target[row];
      const at = batch.offset[row];
      return {
        verdict,
        target: verdict === "Drop"
          ? dropReasonText(target as DropReason)
          : target,
        bytes: [...batch.bytes.subarray(at, at + batch.length[row])],
      };
    });
  }

  /** Fills the batch with packets, as a device would. */
  load(packets: readonly Uint8Array[]): void {
    const { batch } = this;
    batch.clear();
    packets.forEach((packet, n) => {
      const at = n * ROW_ROOM + HEADROOM;
      batch.bytes.set(packet, at);
      batch.push(at, packet.length, -1);
    });
  }
}
