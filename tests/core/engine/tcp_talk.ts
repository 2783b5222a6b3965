/** One client's connection through the gateway's relay, step by step. */
import assert from "node:assert/strict";
import { RedirectState } from "../../../src/core/flow/redirect_table.ts";
import {
  ACK,
  type ReadSegment,
  readSegment,
  segment,
  type SegmentOptions,
  SYN,
} from "../flow/segments.ts";
import { type Seen, World, type WorldOptions } from "./world.ts";

/** 9000 bytes, more than any tunnel takes. */
export const MSS_OPTION = [2, 4, 9000 >> 8, 9000 & 255];

/** An address family, with a client and what it talks to. */
export interface Family {
  readonly name: string;
  readonly client: string;
  readonly other: string;
  readonly remote: string;
  readonly relay: string;
  readonly port: number;
  /** The address of generation g. */
  readonly beside: (generation: number) => string;
  readonly mss: number;
}

/** Both families. */
export const FAMILIES: Family[] = [
  {
    name: "IPv4",
    client: "10.8.0.2",
    other: "10.8.0.3",
    remote: "192.0.2.7",
    relay: "198.18.254.1",
    port: 4433,
    beside: (generation) => `198.18.254.${2 + (generation % 64)}`,
    mss: 1420 - 40,
  },
  {
    name: "IPv6",
    client: "fd00:8:0:0:0:0:0:2",
    other: "fd00:8:0:0:0:0:0:3",
    remote: "2001:db8:0:0:0:0:0:7",
    relay: "fd73:6c75:6963:6500:0:0:0:1",
    port: 4434,
    beside: (generation) =>
      `fd73:6c75:6963:6500:0:0:0:${(2 + (generation % 64)).toString(16)}`,
    mss: 1420 - 60,
  },
];

/** A world whose TCP goes to the relay. */
export function proxy(options: WorldOptions = {}): World {
  return new World({ ...options, config: { tcp: "proxy", ...options.config } });
}

/** One client's connection, with the kernel's side of it. */
export class Talk {
  row = -1;
  generation = -1;
  constructor(
    readonly world: World,
    readonly family: Family,
    readonly ends: {
      peer?: number;
      from?: string;
      fromPort?: number;
      isn?: number;
    } = {},
  ) {}

  get peer(): number {
    return this.ends.peer ?? 0;
  }

  get isn(): number {
    return this.ends.isn ?? 1000;
  }

  get state(): number {
    return this.world.redirects.stateOf(this.row);
  }

  packet(options: Partial<SegmentOptions> & { flags: number }): Uint8Array {
    return segment({
      from: this.ends.from ?? this.family.client,
      to: this.family.remote,
      fromPort: this.ends.fromPort ?? 40_000,
      toPort: 443,
      seq: this.isn + 1,
      ack: (options.flags & ACK) === 0 ? 0 : 5001,
      ...options,
    });
  }

  send(options: Partial<SegmentOptions> & { flags: number }): Seen[] {
    return this.world.fromTunnel(this.peer, this.packet(options));
  }

  syn(): Seen {
    const [seen] = this.send({
      flags: SYN,
      seq: this.isn,
      tcpOptions: MSS_OPTION,
    });
    if (seen.verdict === "ToRelay") {
      this.row = seen.target as number;
      this.generation = this.world.redirects.generationOf(this.row);
    }
    return seen;
  }

  settle(state: 2 | 3 = RedirectState.Open): boolean {
    return this.world.redirects.settle(this.row, this.generation, state);
  }

  /** A segment of the kernel for this connection. */
  kernel(options: Partial<SegmentOptions> & { flags: number }): Seen {
    const { relay, port, beside } = this.family;
    return this.world.fromHost(segment({
      from: relay,
      to: beside(this.generation),
      fromPort: port,
      toPort: 1024 + this.row,
      seq: 5001,
      ack: (options.flags & ACK) === 0 ? 0 : this.isn + 1,
      ...options,
    }))[0];
  }

  open(): this {
    assert.equal(this.syn().verdict, "ToRelay");
    assert.ok(this.settle());
    this.kernel({ flags: SYN | ACK, seq: 5000, tcpOptions: MSS_OPTION });
    this.send({ flags: ACK });
    return this;
  }

  /** Asserts that a row goes to the kernel as this connection's. */
  toKernel(seen: Seen): ReadSegment {
    assert.equal(seen.verdict, "ToHost");
    const read = readSegment(seen.bytes);
    const { relay, port, beside } = this.family;
    assert.deepEqual(
      [read.from, read.fromPort, read.to, read.toPort],
      [beside(this.generation), 1024 + this.row, relay, port],
    );
    return read;
  }

  /** Asserts that a row goes to the client as from the true destination. */
  toClient(seen: Seen): ReadSegment {
    assert.deepEqual([seen.verdict, seen.target], ["ToPeer", this.peer]);
    const read = readSegment(seen.bytes);
    assert.deepEqual(
      [read.from, read.fromPort, read.to, read.toPort],
      [
        this.family.remote,
        443,
        this.ends.from ?? this.family.client,
        this.ends.fromPort ?? 40_000,
      ],
    );
    return read;
  }
}

/** Verdicts, with the reasons of drops. */
export function verdicts(rows: readonly Seen[]): (string | number)[][] {
  return rows.map((row) =>
    row.verdict === "Drop" ? ["Drop", row.target] : [row.verdict]
  );
}
