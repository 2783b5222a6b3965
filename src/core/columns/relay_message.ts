/**
 * Messages from the open worker to the relay worker, as a ring carries them.
 *
 * | kind | a | b | bytes |
 * | --- | --- | --- | --- |
 * | Dial | redirect row | generation | the client's own SYN: a whole IP packet, plain header, checksum whole, MSS clamped |
 * | Abandon | redirect row | generation | -: the connection is over, whatever became of it |
 * | Udp | - | - | a whole UDP packet of a client, for the proxy; its checksum is not looked at |
 *
 * An Abandon may come for a Dial that was never sent, and after the relay has
 * ended the connection by itself: then there is nothing to do.
 */

/** Kinds of messages. */
export const RelayMessage = {
  Dial: 1,
  Abandon: 2,
  Udp: 3,
} as const;
