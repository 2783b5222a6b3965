/**
 * ICMP errors for the outside: Windows keeps no error queue at a UDP socket, so
 * a raw socket of each family hears of all errors of the host.
 */
import type { OutsideErrorReport, OutsideShared } from "../../ports.ts";
import { IcmpErrors } from "./icmp_errors.ts";
import { MessageReceiver, NotReceived } from "./message_receiver.ts";
import { OutsideRows } from "./outside_rows.ts";
import type { SocketLibraries } from "./socket_libraries.ts";

/** Bytes of a message that are looked at: more than any ICMP error quotes. */
export const ERROR_ROOM = 2048;

/** Messages that are passed over in one call, so that it ends. */
const MAX_SKIPPED = 64;

/** Reads the raw sockets. */
export class OutsideErrors {
  readonly #shared: OutsideShared;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #at: number;
  readonly #receiver: MessageReceiver;
  readonly #errors: IcmpErrors | undefined;

  /** @param options.at where {@linkcode ERROR_ROOM} bytes are free. */
  constructor(
    { ws2 }: SocketLibraries,
    options: {
      shared: OutsideShared;
      bytes: Uint8Array<ArrayBuffer>;
      at: number;
    },
  ) {
    const { shared, bytes, at } = options;
    this.#shared = shared;
    this.#bytes = bytes;
    this.#at = at;
    this.#receiver = new MessageReceiver(ws2, { bytes, controlRoom: 0 });
    this.#errors = shared.errors &&
      new IcmpErrors(new OutsideRows(shared.errors.rows));
  }

  /**
   * Takes one error about a mapping or an echo request.
   * @param handle -1; a mapping's own socket has none
   * @returns whether there was one
   */
  read(handle: number, report: OutsideErrorReport): boolean {
    const { errors } = this.#shared;
    return handle < 0 && errors !== undefined &&
      (this.#read(errors.raw4, 4, report) ||
        this.#read(errors.raw6, 6, report));
  }

  #read(socket: number, family: 4 | 6, report: OutsideErrorReport): boolean {
    if (socket < 0 || this.#errors === undefined) return false;
    const bytes = this.#bytes;
    const at = this.#at;
    for (let skipped = 0; skipped < MAX_SKIPPED; skipped++) {
      const length = this.#receiver.receive(socket, at, ERROR_ROOM);
      if (length === NotReceived.Nothing) return false;
      if (length < 0) continue;
      this.#receiver.block.readSource(report.offender, 0);
      const found = family === 4
        ? this.#errors.read4(bytes, at, length, report)
        : this.#errors.read6(bytes, at, length, report);
      if (found) return true;
    }
    return false;
  }
}
