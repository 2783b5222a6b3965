/**
 * Receiving at the tunnel's socket on Linux. A received train (UDP_GRO) lies
 * whole in one slot of the worker's area; each of its datagrams becomes a row.
 */
import type { Libc } from "../../../../ffi/libc.ts";
import { in6Pktinfo, inPktinfo } from "../../../../ffi/linux_layouts.ts";
import {
  IP,
  IPPROTO,
  IPV6,
  UDP,
} from "../../../../ffi/linux_socket_constants.ts";
import type { Batch } from "../../../core/columns/batch.ts";
import { readWords, setMappedIpv4 } from "../../../core/wire/address.ts";
import { readU32be } from "../../../core/wire/bytes.ts";
import type { TunnelSocketAttachment } from "../../ports.ts";
import { pushTrain, rowLimit } from "../shared/received_rows.ts";
import type { TunnelSocketSources } from "../shared/tunnel_socket_sources.ts";
import { controlSpace } from "./message_vector.ts";
import { ReceiveSlots, TRAIN_ROWS } from "./receive_slots.ts";

const CONTROL_ROOM = controlSpace(4) + controlSpace(in6Pktinfo.size);

/** Receives messages of the tunnel. */
export class TunnelReceiver {
  readonly #descriptor: number;
  readonly #family: 4 | 6;
  readonly #sources: TunnelSocketSources | undefined;
  readonly #slots: ReceiveSlots;
  readonly #remote = new Int32Array(4);
  readonly #local = new Int32Array(4);

  /** @param sources learns which address each remote wrote to */
  constructor(
    libc: Libc,
    attachment: TunnelSocketAttachment,
    sources: TunnelSocketSources | undefined,
  ) {
    this.#descriptor = attachment.descriptor;
    this.#family = attachment.family;
    this.#sources = sources;
    this.#slots = new ReceiveSlots(libc, {
      bytes: attachment.bytes,
      area: attachment.receiveArea,
      headroom: 0,
      room: 0,
      controlRoom: CONTROL_ROOM,
    });
  }

  /** Reads what is there into rows. @returns rows added. */
  receive(batch: Batch): number {
    const slots = this.#slots;
    const before = batch.count;
    const limit = rowLimit(batch);
    let slot = 0;
    while (slot < slots.count) {
      // Each message may be a whole train: never take one that finds no rows.
      const wanted = Math.min(
        slots.count - slot,
        Math.floor((limit - batch.count) / TRAIN_ROWS),
      );
      if (wanted <= 0) break;
      const received = slots.receive(this.#descriptor, slot, wanted);
      for (let i = slot; i < slot + received; i++) this.#take(batch, i);
      slot += received;
      if (received < wanted) break;
    }
    return batch.count - before;
  }

  /** Makes rows of what lies in a slot. */
  #take(batch: Batch, slot: number): void {
    const { vector } = this.#slots;
    const remote = this.#remote;
    const port = vector.readSource(slot, remote, 0);
    const length = vector.length(slot);
    const segment = vector.control32(slot, IPPROTO.UDP, UDP.GRO, length);
    if (this.#sources !== undefined && this.#readLocal(slot)) {
      this.#sources.learn(remote, 0, port, this.#local, 0);
    }
    this.#slots.release(slot);
    pushTrain(batch, this.#slots.at(slot), length, segment, remote, port);
  }

  /** Reads the address that a message was sent to. @returns whether it is known. */
  #readLocal(slot: number): boolean {
    const { vector } = this.#slots;
    const { bytes } = vector;
    if (this.#family === 4) {
      const at = vector.findControl(slot, IPPROTO.IP, IP.PKTINFO);
      if (at < 0) return false;
      const address = readU32be(bytes, at + inPktinfo.at.ipi_spec_dst);
      setMappedIpv4(this.#local, 0, address);
      return true;
    }
    const at = vector.findControl(slot, IPPROTO.IPV6, IPV6.PKTINFO);
    if (at < 0) return false;
    readWords(bytes, at, this.#local, 0);
    return true;
  }
}
