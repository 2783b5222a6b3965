/** Sees the pings that come to this host; the system answers them by itself. */

/** One echo request. */
export interface EchoRequest {
  /** Address words of who sent it. */
  readonly source: Int32Array;
  /** What stands behind identifier and sequence number. */
  readonly data: Uint8Array;
}

/** Listens for echo requests of both families, as far as the system has them. */
export interface EchoListener extends Disposable {
  /** One that waits; undefined where none does. Never blocks. */
  next(): EchoRequest | undefined;
}
