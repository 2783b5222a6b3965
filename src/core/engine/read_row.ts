/** The packet of a batch's row, read before anything is decided about it. */
import type { Batch } from "../columns/batch.ts";
import { DropReason } from "../columns/drop_reason.ts";
import { parsePacket } from "../wire/packet.ts";
import type { PacketView } from "../wire/packet_view.ts";
import { Protocol } from "../wire/protocol.ts";

/**
 * Parses a row into `view` and cuts off the padding behind the packet.
 * @returns false where it makes no sense: the row is dropped, and the view is of
 * no protocol
 */
export function readRow(batch: Batch, row: number, view: PacketView): boolean {
  const { bytes, offset, length } = batch;
  const reason = parsePacket(bytes, offset[row], length[row], view);
  if (reason === DropReason.None) {
    length[row] = view.totalLength;
    return true;
  }
  view.protocol = Protocol.NoNextHeader;
  batch.drop(row, reason);
  return false;
}
