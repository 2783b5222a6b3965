/** The relay worker's view of the redirect table, and its way into the host. */
import { Redirect, type RelayEnds } from "../../core/flow/redirect.ts";
import {
  RedirectState,
  type RedirectTable,
} from "../../core/flow/redirect_table.ts";
import { ChecksumForm } from "../../core/wire/checksum.ts";
import { parsePacket } from "../../core/wire/packet.ts";
import { PacketView } from "../../core/wire/packet_view.ts";
import type { PacketWriter } from "../../io/ports/packet_writer.ts";

/** What becomes of a dial. */
export type DialOutcome = "open" | "refused";

/** The redirect table as the relay needs it. */
export interface RelayRows {
  /** Rows of the table. */
  readonly capacity: number;
  /** The row whose connection comes from an address and port now; -1 for none. */
  rowOf(words: Int32Array, port: number): number;
  /**
   * Decides a row that waits for its dial.
   * @returns false where it no longer does
   */
  settle(row: number, generation: number, outcome: DialOutcome): boolean;
  /**
   * Lets the SYN of a settled row in; its bytes are changed.
   * @returns whether the system took it; if not, the client sends it again
   */
  enter(row: number, generation: number, syn: Uint8Array): boolean;
}

/** The rows of a redirect table, with the host behind a TUN interface. */
export class RedirectRows implements RelayRows {
  readonly capacity: number;
  readonly #table: RedirectTable;
  readonly #redirect: Redirect;
  readonly #host: PacketWriter;
  readonly #view = new PacketView();

  constructor(ends: RelayEnds, table: RedirectTable, host: PacketWriter) {
    this.capacity = table.capacity;
    this.#table = table;
    this.#redirect = new Redirect(ends, table);
    this.#host = host;
  }

  rowOf(words: Int32Array, port: number): number {
    return this.#redirect.rowOf(words, 0, port);
  }

  settle(row: number, generation: number, outcome: DialOutcome): boolean {
    const state = outcome === "open"
      ? RedirectState.Open
      : RedirectState.Refused;
    return this.#table.settle(row, generation, state);
  }

  enter(row: number, generation: number, syn: Uint8Array): boolean {
    const view = this.#view;
    if (parsePacket(syn, 0, syn.length, view) !== 0) return false;
    this.#redirect.toRelay(
      syn,
      0,
      view.payloadAt,
      row,
      generation,
      ChecksumForm.Whole,
    );
    return this.#host.write(syn, 0, syn.length);
  }
}
