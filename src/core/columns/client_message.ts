/**
 * Messages between the control thread of a split tunnel and the worker that has
 * its flows, as rings carry them.
 *
 * | kind | a | b | bytes |
 * | --- | --- | --- | --- |
 * | Ask | flow | generation | its first packet |
 * | Ended | flow | generation | - |
 * | DnsAnswer | flow | generation | a datagram's payload |
 * | Detached | slot of a packet tunnel | - | -: the worker has let go of it |
 * | Settle | flow | generation | the verdict: `writeVerdict` |
 * | Attach | outbound | slot | a packet tunnel as JSON |
 * | Detach | outbound | - | - |
 * | End | flow | generation | - |
 * | ResetDirect | - | - | - |
 * | Reset | - | - | - |
 *
 * The first four are the worker's, the others the control thread's.
 */

/** Kinds of messages; none is one of `ControlMessage`. */
export const ClientMessage = {
  Ask: 16,
  Ended: 17,
  DnsAnswer: 18,
  Detached: 19,
  Settle: 20,
  Attach: 21,
  Detach: 22,
  End: 23,
  ResetDirect: 24,
  Reset: 25,
} as const;
