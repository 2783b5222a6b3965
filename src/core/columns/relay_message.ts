/**
 * Messages from the open worker to the relay worker, as a ring carries them.
 *
 * | kind | a | b | bytes |
 * | --- | --- | --- | --- |
 * | Dial | redirect row | generation | the client's own SYN: a whole IP packet, plain header, checksum whole, MSS clamped |
 * | Abandon | redirect row | generation | -: the connection is over, whatever became of it |
 * | End | redirect row | generation | -: the same, and what the client has sent goes nowhere any more |
 * | Vanish | redirect row | generation | -: the same, and the outside hears nothing of it |
 * | Udp | flow | generation | a whole UDP packet of a client, for the proxy; its checksum is not looked at |
 * | Attach | outbound | - | a way out as JSON: from the control thread, by a ring of its own |
 * | Detach | outbound | - | - |
 *
 * Flow and generation are 0 where there are no flows.
 *
 * An Abandon may come for a Dial that was never sent, and after the relay has
 * ended the connection by itself: then there is nothing to do.
 */

/** Kinds of messages. */
export const RelayMessage = {
  Dial: 1,
  Abandon: 2,
  Udp: 3,
  Attach: 4,
  Detach: 5,
  End: 6,
  Vanish: 7,
} as const;
