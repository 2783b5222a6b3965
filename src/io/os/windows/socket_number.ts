/** Numbers of sockets, for tables that have a place for each. */

/** A socket's number among sockets: handles are multiples of 4. */
export function numberOf(socket: number): number {
  return socket >>> 2;
}
