/** Socket options whose value is an int. */
import type { Ws2 } from "../../../../ffi/windows/ws2_32.ts";
import { socketError } from "./socket_error.ts";

const INT_SIZE = 4;

/** Sets and reads int options; keeps the scratch memory that the calls need. */
export class WinsockOptions {
  readonly #call: Ws2["call"];
  readonly #value = new Int32Array(1);
  readonly #bytes = new Uint8Array(this.#value.buffer);
  readonly #length = new Int32Array(1);
  readonly #lengthBytes = new Uint8Array(this.#length.buffer);
  readonly #moved = new Uint8Array(INT_SIZE);

  constructor(ws2: Ws2) {
    this.#call = ws2.call;
  }

  /** Sets an option. @returns 0 or a negative error */
  set(socket: number, level: number, name: number, value: number): number {
    this.#value[0] = value;
    const failed = this.#call.setsockopt(
      socket,
      level,
      name,
      this.#bytes,
      INT_SIZE,
    );
    return failed === 0 ? 0 : -socketError(this.#call.WSAGetLastError());
  }

  /** Reads an option that is not negative. @returns it, or a negative error */
  get(socket: number, level: number, name: number): number {
    this.#value[0] = 0;
    this.#length[0] = INT_SIZE;
    const failed = this.#call.getsockopt(
      socket,
      level,
      name,
      this.#bytes,
      this.#lengthBytes,
    );
    return failed === 0
      ? this.#value[0]
      : -socketError(this.#call.WSAGetLastError());
  }

  /** Makes calls return at once instead of waiting. @returns 0 or a negative error */
  setNonBlocking(socket: number, command: number): number {
    this.#value[0] = 1;
    return this.#call.ioctlsocket(socket, command, this.#bytes) === 0
      ? 0
      : -socketError(this.#call.WSAGetLastError());
  }

  /** Switches a mode of WSAIoctl on (1) or off (0). @returns whether the system has it */
  switch(socket: number, command: number, value: 0 | 1): boolean {
    this.#value[0] = value;
    return this.give(socket, command, this.#bytes);
  }

  /** Sets what WSAIoctl has a struct for. @returns whether the system has it */
  give(
    socket: number,
    command: number,
    bytes: Uint8Array<ArrayBuffer>,
  ): boolean {
    return this.#call.WSAIoctl(
      socket,
      command,
      bytes,
      bytes.length,
      null,
      0,
      this.#moved,
      null,
      null,
    ) === 0;
  }
}
