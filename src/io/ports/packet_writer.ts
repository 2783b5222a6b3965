/** Single packets into a TUN interface, beside the pumps. */

/** What a writer writes to. */
export interface PacketWriterAttachment {
  /** A TUN interface's descriptor, as its maker gave it. */
  readonly descriptor: number;
  /** Whether a vnet header stands before each packet. */
  readonly vnetHeader: boolean;
}

/** Writes packets into the host, as a device would receive them. */
export interface PacketWriter {
  /**
   * Writes a whole IP packet with true checksums, at most 64 KiB.
   * @returns whether the system took it
   */
  write(bytes: Uint8Array, at: number, length: number): boolean;
}
