/** Two peers, A and B, in a world: the set-up that the simulations share. */
import assert from "node:assert/strict";
import type { AmneziaParameters } from "../../src/core/wireguard/amnezia.ts";
import type { PeerMemory } from "../../src/core/wireguard/peer.ts";
import type { NoisePrimitives } from "../../src/core/wireguard/primitives.ts";
import type { TimerConstants } from "../../src/core/wireguard/timers.ts";
import { nodePrimitives } from "../core/wireguard/node_primitives.ts";
import { End, numberedPacket, packetNumber } from "./end.ts";
import { address, type Host, World } from "./world.ts";

/** How the pair differs from two plain peers that know each other's endpoint. */
export interface PairOptions {
  readonly primitives?: NoisePrimitives;
  readonly presharedKeys?: readonly [Uint8Array, Uint8Array];
  readonly amnezia?: readonly [AmneziaParameters, AmneziaParameters];
  readonly timers?: TimerConstants;
  readonly keepaliveMs?: readonly [number, number];
  /** False: B waits for A to come. */
  readonly bothKnowEndpoints?: boolean;
}

/** Inner addresses of A and B. */
export const INNER = [0x0a090001, 0x0a090002] as const;

/** See the module header. Host 0 is A, host 1 is B. */
export class Pair {
  readonly world: World;
  /** Numbers that arrived at A, at B. */
  readonly arrived = [new Set<number>(), new Set<number>()] as const;
  #nextNumber = 0;
  #nextPort = 10_000;
  readonly #options: PairOptions;
  readonly #keys: readonly Uint8Array[];

  constructor(seed: number, options: PairOptions = {}) {
    this.world = new World(seed);
    this.#options = options;
    this.#keys = [this.world.random.bytes(32), this.world.random.bytes(32)];
    for (const side of [0, 1]) {
      const host = {
        port: this.#nextPort++,
        wallOffset: 1_700_000_000_000,
      } as Host;
      this.world.hosts.push(host);
      this.#start(side);
    }
    for (const side of [0, 1]) this.#introduce(side, undefined);
  }

  /** The end of a side. */
  end(side: number): End {
    return this.world.hosts[side].end;
  }

  /** Sends a new packet from a side to the other. @returns its number. */
  send(side: number, length = 40): number {
    const number = this.#nextNumber++;
    const packet = numberedPacket(
      INNER[side],
      INNER[1 - side],
      number,
      length,
    );
    this.end(side).send(packet, this.world.now);
    return number;
  }

  /** True where a packet of `side` has arrived. */
  hasArrived(side: number, number: number): boolean {
    return this.arrived[1 - side].has(number);
  }

  /** Lets time pass. */
  run(ms: number): void {
    this.world.runUntil(this.world.now + ms);
  }

  /** Moves a side to another port and address. */
  roam(side: number): void {
    this.world.hosts[side].port = this.#nextPort++;
  }

  /** Replaces a side by a new process, with what it has saved or nothing. */
  restart(side: number, options: { remembers: boolean }): void {
    const memory = options.remembers
      ? this.end(side).device.peers.memory(0)
      : undefined;
    const endpoint = this.end(side).device.peers.info(0).endpoint;
    this.#start(side);
    this.#introduce(side, endpoint, memory);
  }

  #start(side: number): void {
    const host = this.world.hosts[side];
    host.end = new End({
      privateKey: this.#keys[side],
      primitives: this.#options.primitives ?? nodePrimitives,
      random: this.world.random,
      wallTime: () => this.world.now + host.wallOffset,
      transmit: (bytes, _remote, port) =>
        this.world.transmit(host, bytes, port),
      deliver: (packet) => {
        const number = packetNumber(packet);
        assert.ok(
          !this.arrived[side].has(number),
          `packet ${number} was accepted twice`,
        );
        this.arrived[side].add(number);
      },
      amnezia: this.#options.amnezia?.[side],
      timers: this.#options.timers,
    });
  }

  #introduce(
    side: number,
    known: { words: Int32Array | Uint32Array; port: number } | undefined,
    memory?: PeerMemory,
  ): void {
    const { device } = this.end(side);
    const other = this.world.hosts[1 - side];
    const knows = side === 0 || (this.#options.bothKnowEndpoints ?? true);
    const first = knows
      ? { words: address(other.port), port: other.port }
      : undefined;
    device.peers.add(other.end.device.publicKey, {
      presharedKey: this.#options.presharedKeys?.[side],
      endpoint: known ?? first,
      persistentKeepaliveMs: this.#options.keepaliveMs?.[side],
      memory,
      now: this.world.now,
    });
    const words = Uint32Array.of(0, 0, 0xffff, INNER[1 - side]);
    device.peers.allow(0, { family: 4, words, length: 32 });
    this.end(side).drain();
  }
}
