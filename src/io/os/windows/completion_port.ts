/** What comes out of a completion port, many entries at a time. */
import { INFINITE, type Kernel32 } from "../../../../ffi/windows/kernel32.ts";
import { overlappedEntry } from "../../../../ffi/windows/layouts/kernel32.ts";

/** What is taken out at once. */
export const PORT_ENTRIES = 256;
/** The key of an entry that only ends a wait. */
export const INTERRUPT_KEY = 0x7fff_ffff;

const ENTRY_WORDS = overlappedEntry.size >> 2;
const KEY = overlappedEntry.at.lpCompletionKey >> 2;
const OVERLAPPED = overlappedEntry.at.lpOverlapped >> 2;
const STATUS_WORD = overlappedEntry.at.Internal >> 2;

/** A port as one thread uses it. */
export class CompletionPort {
  readonly #kernel32: Kernel32;
  readonly #port: number;
  readonly #entries = new Int32Array(PORT_ENTRIES * ENTRY_WORDS);
  readonly #entryBytes = new Uint8Array(this.#entries.buffer);
  readonly #removed = new Uint32Array(1);
  readonly #removedBytes = new Uint8Array(this.#removed.buffer);

  constructor(kernel32: Kernel32, port: number) {
    this.#kernel32 = kernel32;
    this.#port = port;
  }

  /** Waits for entries. @returns how many; 0 where the time is over */
  take(timeMs: number): number {
    const got = this.#kernel32.call.GetQueuedCompletionStatusEx(
      this.#port,
      this.#entryBytes,
      PORT_ENTRIES,
      this.#removedBytes,
      timeMs,
      0,
    );
    return got === 0 ? 0 : this.#removed[0];
  }

  /** The same without end, on a thread that blocks in place of the caller. */
  async takeElsewhere(): Promise<number> {
    const got = await this.#kernel32.call.GetQueuedCompletionStatusElsewhere(
      this.#port,
      this.#entryBytes,
      PORT_ENTRIES,
      this.#removedBytes,
      INFINITE,
      0,
    );
    return got === 0 ? 0 : this.#removed[0];
  }

  /** Puts an entry in that only ends a wait. */
  interrupt(): void {
    const { call } = this.#kernel32;
    call.PostQueuedCompletionStatus(this.#port, 0, BigInt(INTERRUPT_KEY), 0n);
  }

  /** The i-th entry's key. */
  key(i: number): number {
    return this.#entries[i * ENTRY_WORDS + KEY];
  }

  /** The low 32 bits of what the i-th is about, signed. */
  overlapped(i: number): number {
    return this.#entries[i * ENTRY_WORDS + OVERLAPPED];
  }

  /** The i-th one's NTSTATUS, signed. */
  status(i: number): number {
    return this.#entries[i * ENTRY_WORDS + STATUS_WORD];
  }
}
