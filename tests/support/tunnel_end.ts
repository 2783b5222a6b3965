/**
 * Ends of a tunnel's socket for tests: an arena and one attachment each.
 */
import assert from "node:assert/strict";
import { parseEndpoint } from "../../src/core/wire/address.ts";
import type { Platform } from "../../src/io/platform.ts";
import type { OpenedTunnelSocket, TunnelSocket } from "../../src/io/ports.ts";
import { PacketArena } from "./packet_arena.ts";

/** What opens the sockets. */
export type TunnelSocketPlatform = Pick<
  Platform,
  "openTunnelSocket" | "attachTunnelSocket"
>;

/** A socket of ours with an arena of its own. */
export class TunnelEnd {
  readonly arena: PacketArena;
  readonly opened: OpenedTunnelSocket;
  readonly socket: TunnelSocket;

  constructor(
    readonly platform: TunnelSocketPlatform,
    options: {
      source?: "sticky" | "system";
      rows?: number;
      receiveBytes?: number;
    } = {},
  ) {
    this.arena = new PacketArena(options);
    const { bytes, receiveArea } = this.arena;
    this.opened = platform.openTunnelSocket({
      port: 0,
      source: options.source ?? "system",
    });
    this.socket = platform.attachTunnelSocket({
      ...this.opened,
      bytes,
      receiveArea,
    });
  }

  /** A second user of the same socket, as another worker is. */
  attach(platform: TunnelSocketPlatform = this.platform): TunnelSocket {
    const { bytes, receiveArea } = this.arena;
    return platform.attachTunnelSocket({ ...this.opened, bytes, receiveArea });
  }

  /** Queues and sends messages. @returns how many failed. */
  send(to: Target, messages: readonly Uint8Array[], gap = 0): number {
    this.arena.forgetMessages();
    for (const message of messages) {
      const at = this.arena.put(message, gap);
      this.socket.queue(at, message.length, to.words, 0, to.port);
    }
    return this.socket.flush();
  }

  /** Receives until nothing waits any more. */
  receiveAll(): Received {
    const { batch } = this.arena;
    const received: Received = { bytes: [], words: [], ports: [] };
    for (;;) {
      batch.clear();
      if (this.socket.receive(batch) === 0) return received;
      received.bytes.push(...this.arena.rows());
      for (let row = 0; row < batch.count; row++) {
        received.words.push([...batch.remote.slice(row * 4, row * 4 + 4)]);
        received.ports.push(batch.remotePort[row]);
        assert.equal(batch.peer[row], -1);
      }
    }
  }

  [Symbol.dispose](): void {
    this.socket[Symbol.dispose]();
    this.opened[Symbol.dispose]();
  }
}

/** What arrived. */
export interface Received {
  readonly bytes: Uint8Array[];
  readonly words: number[][];
  readonly ports: number[];
}

/** Where messages go. */
export interface Target {
  readonly words: Int32Array;
  readonly port: number;
}

/** Reads an endpoint. */
export function target(text: string): Target {
  const endpoint = parseEndpoint(text);
  assert.ok(endpoint, text);
  return { words: Int32Array.from(endpoint.words), port: endpoint.port };
}
