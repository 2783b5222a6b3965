/**
 * A session's rings as one thread uses them: packets between the rings and an
 * arena, without an object for each.
 *
 * Addresses are bigints: compiled code keeps them in registers as long as they
 * only go from one call to the next. They are not to be stored, nor put through
 * a function that is not inlined.
 */
import type { Kernel32 } from "../../../../ffi/windows/kernel32.ts";
import type { Msvcrt } from "../../../../ffi/windows/msvcrt.ts";
import { WINTUN, type Wintun } from "../../../../ffi/windows/wintun.ts";
import { isPacket } from "../tun_rows.ts";

const ERROR_NO_MORE_ITEMS = 259;
const ERROR_BUFFER_OVERFLOW = 111;
const NULL = 0n;
const IPV6_HEADER = 40;

/** What {@linkcode WintunRing.receive} returns where it returns no length. */
export const Received = {
  /** Nothing waits, and the event is not set. */
  Nothing: -1,
  /** The adapter is being removed, or the driver gave the session up. */
  Gone: -2,
  /** A packet was longer than the room; it is lost. */
  TooLong: -3,
} as const;

/** What a thread needs to get at a session. */
export interface WintunSession {
  readonly kernel32: Kernel32;
  readonly wintun: Wintun;
  readonly msvcrt: Msvcrt;
  /** The session's address. */
  readonly session: number;
}

/** See the file header. */
export class WintunRing {
  /** The adapter is being removed: nothing more comes, nothing more is taken. */
  gone = false;
  readonly #wintun: Wintun["call"];
  readonly #kernel32: Kernel32["call"];
  readonly #msvcrt: Msvcrt["call"];
  readonly #session: bigint;
  readonly #event: number;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #arena: bigint;
  /** Where the library tells a packet's length; longer than what V8 would move. */
  readonly #size = new Uint32Array(32);
  readonly #sizeAt: bigint;

  /** @param bytes the arena; it must neither grow nor move. */
  constructor(
    { kernel32, wintun, msvcrt, session }: WintunSession,
    bytes: Uint8Array<ArrayBuffer>,
  ) {
    this.#wintun = wintun.call;
    this.#kernel32 = kernel32.call;
    this.#msvcrt = msvcrt.call;
    this.#session = BigInt(session);
    this.#event = wintun.call.WintunGetReadWaitEvent(this.#session);
    this.#bytes = bytes;
    this.#arena = addressOf(bytes);
    this.#sizeAt = addressOf(this.#size);
  }

  /**
   * Takes the next packet out of the ring, into the arena at `at`.
   * @returns its length, or one of {@linkcode Received}.
   */
  receive(at: number, room: number): number {
    const length = this.#take(at, room);
    if (length !== Received.Nothing) return length;
    if (this.#kernel32.GetLastError() !== ERROR_NO_MORE_ITEMS) {
      this.gone = true;
      return Received.Gone;
    }
    // Who waits sets the event again, so that it stays set until all is read.
    this.#kernel32.ResetEvent(this.#event);
    return this.#take(at, room);
  }

  /** Has whoever waits for packets look again: some were left in the ring. */
  leave(): void {
    this.#kernel32.SetEvent(this.#event);
  }

  /**
   * Puts a packet of the arena into the ring.
   * @returns whether there was room, and whether it is a packet: the driver
   * loses others without a word.
   */
  send(at: number, length: number): boolean {
    if (!isSendable(this.#bytes, at, length)) return false;
    const call = this.#wintun;
    const session = this.#session;
    const packet = call.WintunAllocateSendPacket(session, length);
    if (packet === NULL) {
      if (this.#kernel32.GetLastError() !== ERROR_BUFFER_OVERFLOW) {
        this.gone = true;
      }
      return false;
    }
    this.#msvcrt.memcpy(packet, this.#arena + BigInt(at | 0), length);
    call.WintunSendPacket(session, packet);
    return true;
  }

  /** The address has one source here: where two meet, compiled code makes an object. */
  #take(at: number, room: number): number {
    const call = this.#wintun;
    const session = this.#session;
    const packet = call.WintunReceivePacket(session, this.#sizeAt);
    if (packet === NULL) return Received.Nothing;
    const length = this.#size[0];
    if (length <= room) {
      this.#msvcrt.memcpy(this.#arena + BigInt(at | 0), packet, length);
    }
    call.WintunReleaseReceivePacket(session, packet);
    return length <= room ? length : Received.TooLong;
  }
}

/** Whether the driver passes it on. */
function isSendable(bytes: Uint8Array, at: number, length: number): boolean {
  return isPacket(bytes, at, length) && length <= WINTUN.LONGEST_PACKET &&
    (bytes[at] >>> 4 === 4 || length >= IPV6_HEADER);
}

function addressOf(view: BufferSource): bigint {
  const pointer = Deno.UnsafePointer.of(view);
  if (pointer === null) throw new TypeError("an empty view has no address");
  return Deno.UnsafePointer.value(pointer);
}
