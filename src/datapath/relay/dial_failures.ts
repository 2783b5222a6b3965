/** Why the relay itself gives a dial up. */
import type { DialFailure } from "../../io/ports/dialer.ts";

/** Nobody answered in the time that a dial has. */
export const TOO_SLOW: DialFailure = {
  kind: "timed-out",
  text: "the destination did not answer in time",
};
/** The way leads back here. */
export const OWN_HOST: DialFailure = {
  kind: "not-permitted",
  text: "the destination is this host itself",
};
/** The client could not be taken in. */
export const NO_DESCRIPTOR: DialFailure = {
  kind: "no-descriptor",
  text: "all descriptors that connections may have are taken",
};
/** The event set takes no more. */
export const NO_ROOM: DialFailure = {
  kind: "system",
  text: "the system has no room to wait for another socket",
};
