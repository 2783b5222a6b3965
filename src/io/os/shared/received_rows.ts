/** Rows of what was received by UDP: each with its remote. */
import type { Batch } from "../../../core/columns/batch.ts";

/** Adds a row with its remote. @returns the row, or -1 where the batch is full. */
export function pushReceived(
  batch: Batch,
  at: number,
  length: number,
  remote: Int32Array,
  port: number,
): number {
  const row = batch.push(at, length, -1);
  if (row < 0) return row;
  const words = batch.remote;
  const i = row * 4;
  words[i] = remote[0];
  words[i + 1] = remote[1];
  words[i + 2] = remote[2];
  words[i + 3] = remote[3];
  batch.remotePort[row] = port;
  return row;
}

/**
 * Adds the datagrams of a train, which lie one behind the other.
 * @param segment bytes of each but the last, which may be shorter
 */
export function pushTrain(
  batch: Batch,
  start: number,
  length: number,
  segment: number,
  remote: Int32Array,
  port: number,
): void {
  const end = start + length;
  // An empty datagram is a row as well: it counts as «not WireGuard».
  let at = start;
  do {
    const rest = end - at;
    const own = rest < segment ? rest : segment;
    if (pushReceived(batch, at, own, remote, port) < 0) return;
    at += segment;
  } while (at < end);
}

/** Rows that receiving may fill; the rest is for what stages append. */
export function rowLimit(batch: Batch): number {
  return batch.capacity - (batch.capacity >> 3);
}
