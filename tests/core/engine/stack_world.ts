/** A TUN stack over its tables, its sockets pretended and its relay's messages kept. */
import { Batch } from "../../../src/core/columns/batch.ts";
import {
  type DropReason,
  dropReasonText,
} from "../../../src/core/columns/drop_reason.ts";
import { Verdict } from "../../../src/core/columns/verdict.ts";
import { VerdictCounters } from "../../../src/core/columns/verdict_counters.ts";
import {
  type GatewayConfig,
  gatewayConfig,
} from "../../../src/core/engine/gateway_config.ts";
import { TCP_RELAY_DEFAULTS } from "../../../src/core/engine/tcp_relay_config.ts";
import {
  TunStack,
  type TunStackConfig,
} from "../../../src/core/engine/tun_stack.ts";
import { NatTable } from "../../../src/core/flow/nat.ts";
import {
  RedirectState,
  RedirectTable,
} from "../../../src/core/flow/redirect_table.ts";
import { parsePrefix } from "../../../src/core/wire/address.ts";
import { addressWords } from "../flow/packets.ts";
import { FakeSockets } from "./world.ts";

export const HOST4 = "10.0.0.1";
export const RELAY4 = "198.18.254.1";
export const RELAY6 = "fd73:6c75:6963:6500:0:0:0:1";
const ROW_ROOM = 66_000;
const HEADROOM = 64;

/** A row, copied out of its batch. */
export interface Seen {
  readonly verdict: string;
  readonly target: number | string;
  readonly bytes: number[];
  readonly partial: number;
}

/** See the module header. */
export class StackWorld {
  readonly sockets = new FakeSockets();
  readonly nat: NatTable;
  readonly redirects: RedirectTable;
  readonly counters = new VerdictCounters(
    new ArrayBuffer(VerdictCounters.byteLength),
  );
  readonly abandoned: number[] = [];
  readonly stack: TunStack;
  readonly batch: Batch;
  now = 1_000_000;

  constructor(
    options: Partial<Omit<TunStackConfig, "gateway">> & {
      readonly gateway?: Partial<GatewayConfig>;
    } = {},
  ) {
    const nat = { capacity: 64, peers: 1, remotes: 8 };
    this.nat = new NatTable(new ArrayBuffer(NatTable.byteLength(nat)), nat);
    const redirects = { capacity: 64, peers: 1, generations: 8 };
    this.redirects = new RedirectTable(
      new ArrayBuffer(RedirectTable.byteLength(redirects)),
      redirects,
    );
    this.stack = new TunStack({
      config: {
        gateway: gatewayConfig({
          address4: 0xc612fefe,
          address6: addressWords("fd73:6c75:6963:6500:0:0:0:fe"),
          subnets: [parsePrefix(`${HOST4}/24`)!],
          mtu: 1500,
          tcp: "proxy",
          relay: {
            ...TCP_RELAY_DEFAULTS,
            ipv4: { address: parsePrefix(`${RELAY4}/24`)!, port: 7004 },
            ipv6: { address: parsePrefix(`${RELAY6}/120`)!, port: 7006 },
          },
          fragmentSlots: 4,
          ...options.gateway,
        }),
        udp: options.udp ?? "relay",
        echo: options.echo ?? "answer",
      },
      redirects: this.redirects,
      commands: {
        abandon: (row) => {
          this.abandoned.push(row);
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
      capacity: 64,
      spareStart,
      spareEnd: spareStart + 300_000,
      headroom: HEADROOM,
      tailroom: 0,
    });
  }

  /** What the interface gives; `partial` for all of them. */
  fromHost(packets: readonly Uint8Array[], partial = 0): Seen[] {
    const { batch } = this;
    this.load(packets);
    batch.partial.fill(partial, 0, batch.count);
    this.stack.fromHost(batch, this.now);
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
    this.stack.fromOutside(batch, this.now);
    return this.seen();
  }

  /** The relay's dial stands. */
  settle(row: number): void {
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
        partial: batch.partial[row],
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
