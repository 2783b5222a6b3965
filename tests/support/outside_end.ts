/**
 * The outside of a gateway for tests: poll set, wake, arena and both sides of
 * the port in one thread.
 */
import assert from "node:assert/strict";
import { Verdict } from "../../src/core/columns/verdict.ts";
import { OpenFailure } from "../../src/core/flow/outside_sockets.ts";
import { parseEndpoint } from "../../src/core/wire/address.ts";
import type { Platform } from "../../src/io/platform.ts";
import type { OpenedOutside, OutsidePort, Poller } from "../../src/io/ports.ts";
import {
  PacketArena,
  type PacketArenaOptions,
  PlainSocket,
} from "./packet_arena.ts";

/** What opens it. */
export type OutsidePlatform = Pick<
  Platform,
  "openWake" | "openPoller" | "attachPoller" | "openOutside" | "attachOutside"
>;

/** Settings of a test's outside. */
export interface OutsideEndOptions extends PacketArenaOptions {
  /** NAT rows; 32 where left out. */
  readonly capacity?: number;
  /** `ping` where left out: raw sockets also hear of other programs' pings. */
  readonly echo?: "raw" | "ping";
}

/** How a row is to be sent. */
export interface RowOptions {
  readonly hopLimit?: number;
  readonly dontFragment?: 0 | 1;
}

/** An outside with all that it needs. */
export class OutsideEnd implements Disposable {
  readonly arena: PacketArena;
  readonly poller: Poller;
  readonly opened: OpenedOutside;
  readonly outside: OutsidePort;
  readonly #platform: OutsidePlatform;
  readonly #stack = new DisposableStack();

  constructor(platform: OutsidePlatform, options: OutsideEndOptions = {}) {
    this.#platform = platform;
    this.arena = new PacketArena(options);
    const wake = this.#stack.use(platform.openWake());
    const { descriptor } = this.#stack.use(platform.openPoller());
    this.poller = this.#stack.use(
      platform.attachPoller({ descriptor, wake: wake.descriptor }),
    );
    this.opened = this.#stack.use(platform.openOutside({
      poller: descriptor,
      wake: wake.descriptor,
      capacity: options.capacity ?? 32,
      echo: options.echo ?? "ping",
    }));
    this.outside = this.#stack.use(this.attach());
  }

  /** A second user, as another worker is. */
  attach(platform: OutsidePlatform = this.#platform): OutsidePort {
    const { bytes, receiveArea } = this.arena;
    const { shared } = this.opened;
    return platform.attachOutside({
      shared,
      bytes,
      receiveArea,
      headroom: 128,
    });
  }

  /** Opens a UDP socket on any free port for a NAT row. @returns its handle. */
  openUdp(family: 4 | 6, row: number): number {
    for (let attempt = 0; attempt < 20; attempt++) {
      const port = freePort(family);
      const handle = this.outside.open(17, family, port, row);
      if (handle !== OpenFailure.InUse) return handle;
    }
    throw new Error("each free port was taken before it could be opened");
  }

  /** Appends a ToUdp row. @returns the row. */
  appendUdp(to: string, bytes: Uint8Array, options: RowOptions = {}): number {
    return this.#append(Verdict.ToUdp, to, bytes, options);
  }

  /** Appends a ToUdp row and queues it. @returns the row. */
  queueUdp(
    handle: number,
    to: string,
    bytes: Uint8Array,
    options: RowOptions = {},
  ): number {
    const row = this.appendUdp(to, bytes, options);
    this.outside.send(handle, this.arena.batch, row);
    return row;
  }

  /** Appends a ToEcho row with an ICMP message and queues it. @returns the row. */
  queueEcho(
    handle: number,
    to: string,
    bytes: Uint8Array,
    options: RowOptions = {},
  ): number {
    const row = this.#append(Verdict.ToEcho, to, bytes, options);
    this.outside.send(handle, this.arena.batch, row);
    return row;
  }

  [Symbol.dispose](): void {
    this.#stack.dispose();
  }

  #append(
    verdict: Verdict,
    to: string,
    bytes: Uint8Array,
    options: RowOptions,
  ): number {
    const endpoint = parseEndpoint(to);
    assert.ok(endpoint, to);
    const { batch } = this.arena;
    const row = this.arena.append(bytes);
    batch.decide(row, verdict, 0);
    batch.remote.set(Int32Array.from(endpoint.words), row * 4);
    batch.remotePort[row] = endpoint.port;
    batch.hopLimit[row] = options.hopLimit ?? 0;
    batch.dontFragment[row] = options.dontFragment ?? 0;
    return row;
  }
}

/** A UDP port that was free a moment ago. */
export function freePort(family: 4 | 6): number {
  using socket = new PlainSocket(family === 4 ? "0.0.0.0" : "::");
  return socket.port;
}
