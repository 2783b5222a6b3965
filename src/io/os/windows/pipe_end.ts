/**
 * One end of a named pipe, read and written without blocking this thread: a
 * request goes to the system, and a thread of the runtime's waits for its event.
 *
 *     memory   read request | write request | read bytes | write bytes
 */
import { INFINITE, type Kernel32 } from "../../../../ffi/windows/kernel32.ts";
import { overlapped } from "../../../../ffi/windows/layouts/kernel32.ts";
import { Win32, Win32Error } from "../../../../ffi/windows/win32_error.ts";
import type { LocalConnection } from "../../ports/local_sockets.ts";
import { allocateNative, releaseNative } from "./native_memory.ts";

/** Bytes of one read or write. */
const PIECE = 16_384;
const READ = { request: 0, bytes: 128 } as const;
const WRITE = { request: 64, bytes: READ.bytes + PIECE } as const;
const MEMORY = WRITE.bytes + PIECE;
const MANUAL_RESET = 1;

/** Codes by which an end is told. */
const ENDED: readonly number[] = [
  Win32.BrokenPipe,
  Win32.PipeNotConnected,
  Win32.NoData,
  Win32.OperationAborted,
];

/** See the file header. */
export class PipeEnd implements LocalConnection {
  readonly #kernel32: Kernel32;
  readonly #library: "owned" | "shared";
  readonly #handle: number;
  readonly #address: number;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #count = new Uint32Array(1);
  /** Requests that the system has: memory and handle stay until they are over. */
  #pending = 0;
  #closed = false;

  /**
   * @param handle opened for requests without waiting; owned.
   * @param library `owned`: it closes with this end.
   */
  constructor(
    kernel32: Kernel32,
    handle: number,
    library: "owned" | "shared",
  ) {
    this.#kernel32 = kernel32;
    this.#handle = handle;
    this.#library = library;
    const { address, buffer } = allocateNative(kernel32, MEMORY);
    this.#address = address;
    this.#bytes = new Uint8Array(buffer);
  }

  /** Waits for a client. @returns false where it has gone again, or this end is closed. */
  async connected(): Promise<boolean> {
    const { call } = this.#kernel32;
    const result = await this.#request(
      READ.request,
      (request) => call.ConnectNamedPipe(this.#handle, request),
    );
    return typeof result === "number";
  }

  async read(bytes: Uint8Array): Promise<number | null> {
    const { call } = this.#kernel32;
    const most = Math.min(bytes.length, PIECE);
    const count = await this.#request(READ.request, (request) =>
      call.ReadFile(
        this.#handle,
        BigInt(this.#address + READ.bytes),
        most,
        null,
        request,
      ));
    // A closed end has no memory any more.
    if (count === "ended" || this.#closed) return null;
    bytes.set(this.#bytes.subarray(READ.bytes, READ.bytes + count));
    return count;
  }

  async write(bytes: Uint8Array): Promise<number> {
    if (this.#closed) throw new Deno.errors.BrokenPipe("the pipe is closed");
    const { call } = this.#kernel32;
    const piece = bytes.subarray(0, PIECE);
    this.#bytes.set(piece, WRITE.bytes);
    const count = await this.#request(
      WRITE.request,
      (request) =>
        call.WriteFile(
          this.#handle,
          BigInt(this.#address + WRITE.bytes),
          piece.length,
          null,
          request,
        ),
    );
    if (count === "ended") throw new Deno.errors.BrokenPipe("the pipe ended");
    return count;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#pending === 0) this.#release();
    else this.#kernel32.call.CancelIoEx(this.#handle, 0n);
  }

  /** Makes a request and waits until it is over. @returns how many bytes it moved. */
  async #request(
    at: number,
    start: (request: bigint) => number,
  ): Promise<number | "ended"> {
    if (this.#closed) return "ended";
    const { call } = this.#kernel32;
    const event = call.CreateEventW(null, MANUAL_RESET, 0, null);
    if (event === 0) throw this.#kernel32.error("CreateEventW");
    this.#bytes.fill(0, at, at + overlapped.size);
    new DataView(this.#bytes.buffer)
      .setBigUint64(at + overlapped.at.hEvent, BigInt(event), true);
    const request = BigInt(this.#address + at);
    this.#pending++;
    try {
      const done = start(request);
      const code = done === 0 ? call.GetLastError() : Win32.Success;
      if (code === Win32.PipeConnected) return 0;
      if (code !== Win32.Success && code !== Win32.IoPending) {
        return ended(code);
      }
      await call.WaitForSingleObjectElsewhere(event, INFINITE);
      const got = call
        .GetOverlappedResult(this.#handle, request, this.#count, 0);
      return got === 0 ? ended(call.GetLastError()) : this.#count[0];
    } finally {
      call.CloseHandle(event);
      this.#pending--;
      if (this.#closed && this.#pending === 0) this.#release();
    }
  }

  #release(): void {
    this.#kernel32.call.CloseHandle(this.#handle);
    releaseNative(this.#kernel32, this.#address);
    if (this.#library === "owned") this.#kernel32[Symbol.dispose]();
  }
}

function ended(code: number): "ended" {
  if (ENDED.includes(code)) return "ended";
  throw new Win32Error("a request to a pipe", code);
}
