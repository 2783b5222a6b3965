/**
 * Handles of the socket driver through which polls go. Cancelling looks through
 * all polls of a handle, so each serves 32 slots; it is opened when one of them
 * is first used.
 */
import {
  objectAttributes,
  unicodeString,
} from "../../../../ffi/windows/layouts/ntdll.ts";
import { AFD, AFD_POLL, STATUS } from "../../../../ffi/windows/ntdll.ts";
import { SIO } from "../../../../ffi/windows/ws2_32.ts";
import { wideText } from "../../../../ffi/windows/wide_text.ts";
import {
  type AfdSlots,
  PollWord,
  SLOT_SIZE,
  SlotState,
  SlotWord,
} from "./afd_slots.ts";
import type { SocketLibraries } from "./socket_libraries.ts";
import {
  afdPollInfo,
  ioStatusBlock,
} from "../../../../ffi/windows/layouts/ntdll.ts";

/** What a poll tells whether it is wanted or not. */
export const ALWAYS: number = AFD_POLL.ABORT | AFD_POLL.LOCAL_CLOSE |
  AFD_POLL.CONNECT_FAIL;

const SYNCHRONIZE = 0x0010_0000;
const SHARE_READ_WRITE = 3;
const OPEN = 1;
const POLL_SIZE = afdPollInfo.size;

/** The handles of a poll set, as one thread uses them. */
export class AfdDevices {
  readonly #libraries: SocketLibraries;
  readonly #slots: AfdSlots;
  readonly #name = deviceName();
  readonly #handle = new Uint32Array(2);
  readonly #handleBytes = new Uint8Array(this.#handle.buffer);
  readonly #moved = new Uint8Array(4);
  readonly #status = new Uint8Array(ioStatusBlock.size);
  /** By slot: addresses of it and of its poll, as calls take them; made once. */
  readonly #slotAt: bigint[] = [];
  readonly #pollAt: bigint[] = [];

  constructor(libraries: SocketLibraries, slots: AfdSlots) {
    this.#libraries = libraries;
    this.#slots = slots;
  }

  /**
   * Starts a slot's poll, its state Held being ours until then.
   * @returns false where it is refused.
   */
  poll(slot: number): boolean {
    const { words } = this.#slots;
    const at = this.#slots.at(slot);
    const events = words[at + SlotWord.Wants] | ALWAYS;
    words[at + PollWord.Timeout] = -1;
    words[at + PollWord.Timeout + 1] = 0x7fff_ffff;
    words[at + PollWord.Count] = 1;
    words[at + PollWord.Exclusive] = 0;
    words[at + PollWord.Handle] = words[at + SlotWord.Base];
    words[at + PollWord.Handle + 1] = 0;
    words[at + PollWord.Events] = events;
    words[at + SlotWord.Armed] = events;
    Atomics.store(words, at + SlotWord.State, SlotState.Armed);
    return this.#start(slot);
  }

  /** The socket below what other programs have put over the system's own; -1 none. */
  baseSocket(socket: number): number {
    const failed = this.#libraries.ws2.call.WSAIoctl(
      socket,
      SIO.BASE_HANDLE,
      null,
      0,
      this.#handleBytes,
      this.#handleBytes.length,
      this.#moved,
      null,
      null,
    );
    return failed === 0 ? this.#handle[0] : -1;
  }

  /** Ends a slot's poll early; it comes out of the port all the same. */
  cancel(slot: number): void {
    const device = this.#slots.words[this.#slots.groupAt(slot)];
    if (device === 0) return;
    this.#libraries.ntdll.call.NtCancelIoFileEx(
      device,
      this.#addressOf(slot),
      this.#status,
    );
  }

  /** Closes all of them. */
  close(): void {
    const { words, groups } = this.#slots;
    const first = this.#slots.groupAt(0);
    for (let group = first; group < first + groups; group++) {
      const device = Atomics.exchange(words, group, 0);
      if (device !== 0) this.#libraries.kernel32.call.CloseHandle(device);
    }
  }

  #start(slot: number): boolean {
    const device = this.#open(slot);
    if (device === 0) return false;
    const slotAt = this.#addressOf(slot);
    const pollAt = this.#pollAt[slot];
    const status = this.#libraries.ntdll.call.NtDeviceIoControlFile(
      device,
      0,
      0n,
      slotAt,
      slotAt,
      AFD.POLL,
      pollAt,
      POLL_SIZE,
      pollAt,
      POLL_SIZE,
    );
    return status === STATUS.SUCCESS || status === STATUS.PENDING;
  }

  #addressOf(slot: number): bigint {
    const known = this.#slotAt[slot];
    if (known !== undefined) return known;
    const at = BigInt(this.#slots.address + slot * SLOT_SIZE);
    this.#slotAt[slot] = at;
    this.#pollAt[slot] = at + BigInt(ioStatusBlock.size);
    return at;
  }

  /** @returns the handle for a slot, or 0. */
  #open(slot: number): number {
    const { words } = this.#slots;
    const at = this.#slots.groupAt(slot);
    const known = Atomics.load(words, at);
    if (known !== 0) return known;
    const device = this.#create();
    if (device === 0) return 0;
    const other = Atomics.compareExchange(words, at, 0, device);
    if (other === 0) return device;
    this.#libraries.kernel32.call.CloseHandle(device);
    return other;
  }

  #create(): number {
    const { ntdll, kernel32 } = this.#libraries;
    const status = ntdll.call.NtCreateFile(
      this.#handleBytes,
      SYNCHRONIZE,
      this.#name.attributes,
      this.#status,
      null,
      0,
      SHARE_READ_WRITE,
      OPEN,
      0,
      null,
      0,
    );
    if (status !== STATUS.SUCCESS) return 0;
    const device = this.#handle[0];
    const port = kernel32.call.CreateIoCompletionPort(
      BigInt(device),
      BigInt(this.#slots.port),
      0n,
      0,
    );
    if (port !== 0) return device;
    kernel32.call.CloseHandle(device);
    return 0;
  }
}

/** The driver's name as NtCreateFile takes it, with all that it points to. */
function deviceName() {
  const text = wideText(AFD.DEVICE);
  const name = new Uint8Array(unicodeString.size);
  const nameView = new DataView(name.buffer);
  nameView.setUint16(unicodeString.at.Length, text.length - 2, true);
  nameView.setUint16(unicodeString.at.MaximumLength, text.length, true);
  nameView.setBigUint64(unicodeString.at.Buffer, addressOf(text), true);
  const attributes = new Uint8Array(objectAttributes.size);
  const view = new DataView(attributes.buffer);
  view.setUint32(objectAttributes.at.Length, objectAttributes.size, true);
  view.setBigUint64(objectAttributes.at.ObjectName, addressOf(name), true);
  return { attributes, name, text };
}

function addressOf(bytes: Uint8Array<ArrayBuffer>): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes));
}
