/**
 * The control thread's way to send: handshake messages as they are, and the few
 * packets that it seals itself (keepalives, packets that waited for a session,
 * answers of the gateway).
 */
import { DropReason } from "../core/columns/drop_reason.ts";
import type { TunnelSocket } from "../io/ports.ts";
import type { Sealer } from "./sealer.ts";

/** What a ControlSender is made of. */
export interface ControlSenderOptions {
  readonly sealer: Sealer;
  readonly socket: TunnelSocket;
  /** The arena of both. */
  readonly bytes: Uint8Array;
  /** Where to put one message: 64 KiB and the sealer's head- and tailroom. */
  readonly at: number;
  /** Room that a sealed packet needs before it. */
  readonly headroom: number;
}

/** The longest packet or datagram that is taken. */
const LIMIT = 65_535;

/** Sends one thing at a time. */
export class ControlSender {
  readonly #options: ControlSenderOptions;

  constructor(options: ControlSenderOptions) {
    this.#options = options;
  }

  /**
   * Sends a datagram as it is.
   * @param words address words, from index 0.
   * @returns whether the system took it.
   */
  datagram(bytes: Uint8Array, words: Int32Array, port: number): boolean {
    const { bytes: arena, at, socket } = this.#options;
    if (bytes.length > LIMIT) return false;
    arena.set(bytes, at);
    socket.queue(at, bytes.length, words, 0, port);
    return socket.flush() === 0;
  }

  /** Seals a packet, or with undefined a keepalive, for a peer and sends it. */
  seal(peer: number, packet: Uint8Array | undefined, now: number): DropReason {
    const { bytes: arena, headroom, socket, sealer } = this.#options;
    const at = (this.#options.at + headroom + 15) & ~15;
    const length = packet?.length ?? 0;
    if (length > LIMIT) return DropReason.TooBig;
    if (packet !== undefined) arena.set(packet, at);
    const reason = sealer.seal(at, length, peer, now, undefined);
    if (reason !== DropReason.None) return reason;
    return socket.flush() === 0 ? DropReason.None : DropReason.SendFailed;
  }
}
