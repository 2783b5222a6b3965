/**
 * Messages between the control thread and the workers, as rings carry them.
 *
 * | kind | a | b | bytes |
 * | --- | --- | --- | --- |
 * | Handshake | port | - | 16 bytes remote address, the datagram |
 * | Stage | peer | - | a packet that waits for a session |
 * | PeerEvent | peer | - | - |
 * | Packet | peer | - | a packet for the gateway itself (a DNS query) |
 * | Drop | reason | peer | the beginning of a dropped packet |
 * | PeerRemoved | peer | - | -, to the open pump |
 */

/** Kinds of messages. */
export const ControlMessage = {
  Handshake: 1,
  Stage: 2,
  PeerEvent: 3,
  Packet: 4,
  Drop: 5,
  PeerRemoved: 6,
} as const;

/** Bytes of the remote address before a handshake datagram. */
export const REMOTE_LENGTH = 16;
