/**
 * A packet tunnel in the worker of a split tunnel: rows go into it sealed, in
 * trains, and come out of it opened.
 *
 *     send      super-packets are cut, others copied; sealed; queued at the socket
 *     receive   a batch of what waits at the socket, opened
 *
 * What goes in is put where there is room around it for the message: an area
 * that all tunnels use in turn.
 */
import { Batch } from "../core/columns/batch.ts";
import { type Counters, Direction } from "../core/columns/counters.ts";
import { DropReason } from "../core/columns/drop_reason.ts";
import { Verdict } from "../core/columns/verdict.ts";
import { splitRow } from "../core/flow/split.ts";
import { copyBytes } from "../core/wire/bytes.ts";
import type { MessageFormat } from "../core/wireguard/classify.ts";
import { TrafficWriter } from "../core/wireguard/peer_table.ts";
import type { Area, PacketOffload, TunnelSocket } from "../io/ports.ts";
import type { TunnelTables } from "./client_state.ts";
import { ControlLink } from "./control_link.ts";
import type { PacketAead } from "./crypto/packet_aead.ts";
import { Opener } from "./opener.ts";
import type { RandomPool } from "./random_pool.ts";
import { SEAL_TAILROOM, Sealer, sealHeadroom } from "./sealer.ts";

/** What a tunnel works with. */
export interface PacketTunnelOptions {
  readonly tables: TunnelTables;
  readonly socket: TunnelSocket;
  readonly format: MessageFormat;
  readonly mtu: number;
  /** A session older than this is not used, in ms. */
  readonly rejectAfterMs: number;
  readonly counters: Counters;
  /** What tunnels have in common. */
  readonly shared: PacketTunnelShared;
}

/** What all tunnels of a worker use, one at a time. */
export interface PacketTunnelShared {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly kernels: PacketOffload;
  readonly aead: PacketAead;
  readonly random: RandomPool;
  /** Where packets lie to be sealed. */
  readonly sealArea: Area;
  /** Where pieces lie of those that are too big. */
  readonly spareArea: Area;
  /** Rows of the batches that are received into. */
  readonly rows: number;
}

const VNET_HEADER = 10;
const TABLE_ROWS = 128;
const TABLE_LENGTH = TABLE_ROWS * 8;
/** A super-packet as pieces of common sizes, with room around each. */
const PIECES_LENGTH = 100 * 1024;
const SEAL_ROWS = 512;

/** See the module header. */
export class PacketTunnel {
  readonly socket: TunnelSocket;
  readonly #options: PacketTunnelOptions;
  readonly #headroom: number;
  readonly #batch: Batch;
  readonly #opener: Opener;
  readonly #sealer: Sealer;
  readonly #link: ControlLink;
  readonly #table: Int32Array;
  readonly #first: number;
  /** Where the next packet's headroom begins. */
  #at: number;
  #identification = 0;

  constructor(options: PacketTunnelOptions) {
    const { tables, socket, format, mtu, rejectAfterMs, shared } = options;
    const { bytes, sealArea, spareArea, aead, random } = shared;
    const { peers, sessions } = tables;
    this.socket = socket;
    this.#options = options;
    this.#headroom = sealHeadroom(format);
    this.#first = sealArea.start + TABLE_LENGTH;
    this.#at = this.#first;
    this.#table = new Int32Array(
      bytes.buffer,
      bytes.byteOffset + sealArea.start,
      TABLE_ROWS * 2,
    );
    this.#batch = new Batch({
      bytes,
      capacity: SEAL_ROWS,
      spareStart: spareArea.start,
      spareEnd: spareArea.end,
      headroom: this.#headroom,
      tailroom: SEAL_TAILROOM,
    });
    this.#link = new ControlLink(tables.ring, peers, tables.bell, false);
    this.#opener = new Opener({
      sessions,
      peers,
      format,
      aead,
      link: this.#link,
      rejectAfterMs,
      rows: shared.rows,
    });
    this.#sealer = new Sealer({
      bytes,
      sessions,
      peers,
      format,
      aead,
      socket,
      random,
      writer: TrafficWriter.OpenPump,
      mtu,
      rejectAfterMs,
      rows: SEAL_ROWS,
    });
  }

  /** Reads what waits at the socket; undecided rows are inner packets. @returns rows */
  receive(batch: Batch, now: number): number {
    const count = this.socket.receive(batch);
    if (count === 0) return 0;
    const { counters } = this.#options;
    for (let row = 0; row < batch.count; row++) {
      counters.add(Direction.FromTunnel, 1, batch.length[row]);
    }
    this.#opener.decrypt(batch, now);
    this.#opener.admit(batch, now);
    return count;
  }

  /**
   * Puts a ToTunnel row in, for the peer in its `peer` column; its bytes may be
   * used again.
   * @returns None, or why it can't go
   */
  send(batch: Batch, row: number, now: number): DropReason {
    const needed = batch.partial[row] === 1
      ? PIECES_LENGTH
      : batch.length[row] + this.#headroom + SEAL_TAILROOM + 16;
    const { sealArea } = this.#options.shared;
    const isFull = this.#at + needed > sealArea.end ||
      this.#batch.count + TABLE_ROWS > SEAL_ROWS;
    if (isFull) this.flush(now);
    return batch.partial[row] === 1
      ? this.#segment(batch, row)
      : this.#copy(batch, row);
  }

  /** Seals and sends what was put in. */
  flush(now: number): void {
    const batch = this.#batch;
    if (batch.count === 0) return;
    const sealer = this.#sealer;
    const { counters } = this.#options;
    sealer.reserve(batch, now);
    sealer.encrypt(batch);
    for (let row = 0; row < batch.count; row++) {
      if (batch.verdict[row] === Verdict.ToPeer) this.#sendRow(row, now);
      else counters.drop(batch.target[row]);
    }
    const unsent = this.socket.flush();
    if (unsent > 0) counters.drop(DropReason.SendFailed, unsent);
    batch.clear();
    this.#at = this.#first;
  }

  #sendRow(row: number, now: number): void {
    const batch = this.#batch;
    const { counters } = this.#options;
    const reason = this.#sealer.send(batch, row, now, this.#link);
    if (reason === DropReason.None) {
      counters.add(Direction.ToTunnel, 1, batch.length[row]);
    } else if (reason !== DropReason.NoSession) counters.drop(reason);
    else if (!this.#link.stage(batch, row, batch.target[row])) {
      counters.drop(DropReason.ControlQueueFull);
    }
  }

  #segment(batch: Batch, row: number): DropReason {
    const { mtu, shared } = this.#options;
    const { kernels, sealArea } = shared;
    const count = kernels.segment(
      batch.offset[row] - VNET_HEADER,
      batch.length[row] + VNET_HEADER,
      this.#at,
      sealArea.end,
      this.#headroom,
      SEAL_TAILROOM,
      mtu,
      sealArea.start,
      sealArea.start + TABLE_LENGTH,
    );
    if (count <= 0) return DropReason.TooBig;
    const peer = batch.peer[row];
    for (let entry = 0; entry < count * 2; entry += 2) {
      const length = this.#table[entry + 1];
      const piece = this.#push(this.#table[entry], length, peer);
      if (length > mtu) this.#batch.drop(piece, DropReason.TooBig);
    }
    return DropReason.None;
  }

  #copy(batch: Batch, row: number): DropReason {
    const { bytes, offset, length, peer } = batch;
    const { mtu } = this.#options;
    const at = (this.#at + this.#headroom + 15) & ~15;
    copyBytes(bytes, at, bytes, offset[row], length[row]);
    const copy = this.#push(at, length[row], peer[row]);
    if (length[row] <= mtu) return DropReason.None;
    this.#identification = (this.#identification + 1) | 0;
    splitRow(this.#batch, copy, mtu, this.#identification);
    return DropReason.None;
  }

  /** Adds a row whose bytes are in place. */
  #push(at: number, length: number, peer: number): number {
    const batch = this.#batch;
    const row = batch.push(at, length, -1);
    batch.decide(row, Verdict.ToPeer, peer);
    this.#at = at + length + SEAL_TAILROOM;
    return row;
  }
}
