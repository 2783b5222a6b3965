/**
 * The control thread's loop: what workers tell goes into the device, what the
 * device wants is sent, its timers are kept.
 */
import {
  ControlMessage,
  REMOTE_LENGTH,
} from "../core/columns/control_message.ts";
import type { Ring } from "../core/columns/ring.ts";
import { DropReason } from "../core/columns/drop_reason.ts";
import { readWords } from "../core/wire/address.ts";
import type { Device } from "../core/wireguard/device.ts";
import type { PeerTable } from "../core/wireguard/peer_table.ts";
import { BellWatch } from "./bell_watch.ts";

/** The control thread's own way to send. */
export interface ControlSending {
  datagram(bytes: Uint8Array, words: Int32Array, port: number): boolean;
  seal(peer: number, packet: Uint8Array | undefined, now: number): DropReason;
}

/** What the loop works with. */
export interface TunnelControlOptions {
  readonly device: Device;
  readonly peers: PeerTable;
  /** The workers' rings. */
  readonly rings: readonly Ring[];
  /** A cell that grows when a worker has written to its ring. */
  readonly bell: Int32Array;
  readonly sender: ControlSending;
  readonly now: () => number;
  /** A packet for the gateway itself. */
  readonly onPacket: (peer: number, packet: Uint8Array) => void;
  /** A worker dropped a packet; `bytes` is its beginning and valid during the call. */
  readonly onDrop: (
    reason: DropReason,
    peer: number,
    bytes: Uint8Array,
  ) => void;
  /** The control thread dropped a packet. */
  readonly onOwnDrop: (reason: DropReason) => void;
  /** A handshake ended. */
  readonly onHandshake: (
    peer: number,
    result: "established" | "abandoned",
  ) => void;
}

/** How often the rings are looked at without a bell, in ms. */
const REVIEW_MS = 1000;
/** The greatest delay that setTimeout takes, in ms. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/** Runs from `start` to `stop`. */
export class TunnelControl {
  readonly #options: TunnelControlOptions;
  readonly #watch: BellWatch;
  readonly #remote = new Int32Array(4);
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isRunning = false;

  constructor(options: TunnelControlOptions) {
    this.#options = options;
    this.#watch = new BellWatch(options.bell, {
      read: () => this.#read(),
      reviewMs: REVIEW_MS,
    });
  }

  /** Starts to listen for the workers. */
  start(): void {
    this.#isRunning = true;
    this.#watch.start();
  }

  /** Ends the loop; nothing is sent any more. */
  stop(): void {
    this.#isRunning = false;
    this.#watch.stop();
    clearTimeout(this.#timer);
  }

  /** Sends a packet of the gateway itself, or holds it until there is a session. */
  sendPacket(peer: number, packet: Uint8Array): void {
    const { device, now } = this.#options;
    device.stagePacket(peer, packet, now());
    this.drain();
  }

  /** Carries out what the device wants; call it after every change to it. */
  drain(): void {
    const { device, sender, now, onHandshake, onOwnDrop } = this.#options;
    for (;;) {
      const output = device.poll();
      if (output === undefined) break;
      switch (output.kind) {
        case "datagram":
          if (!sender.datagram(output.bytes, output.remote, output.port)) {
            onOwnDrop(DropReason.SendFailed);
          }
          break;
        case "seal": {
          const reason = sender.seal(output.peer, output.packet, now());
          if (reason !== DropReason.None) onOwnDrop(reason);
          break;
        }
        case "handshake":
          onHandshake(output.peer, output.result);
          break;
      }
    }
    this.#arm();
  }

  #read(): void {
    let messages = 0;
    for (const ring of this.#options.rings) messages += ring.read(this.#handle);
    if (messages > 0) this.drain();
  }

  #handle = (
    kind: number,
    a: number,
    b: number,
    bytes: Uint8Array,
    at: number,
    length: number,
  ): void => {
    const { device, peers, now, onPacket, onDrop } = this.#options;
    switch (kind) {
      case ControlMessage.Handshake: {
        readWords(bytes, at, this.#remote, 0);
        const datagram = bytes.slice(at + REMOTE_LENGTH, at + length);
        device.handleDatagram(datagram, this.#remote, a, now());
        break;
      }
      case ControlMessage.Stage:
        device.stagePacket(a, bytes.slice(at, at + length), now());
        break;
      case ControlMessage.PeerEvent:
        device.handlePeerEvents(a, Atomics.load(peers.events, a), now());
        break;
      case ControlMessage.Packet:
        onPacket(a, bytes.slice(at, at + length));
        break;
      case ControlMessage.Drop:
        onDrop(a, b, bytes.slice(at, at + length));
        break;
    }
  };

  #arm(): void {
    clearTimeout(this.#timer);
    if (!this.#isRunning) return;
    const { device, now } = this.#options;
    const next = device.nextTimeout();
    if (next === Infinity) return;
    this.#timer = setTimeout(() => {
      device.handleTimeout(now());
      this.drain();
    }, Math.min(Math.max(0, Math.ceil(next - now())), MAX_DELAY_MS));
  }
}
