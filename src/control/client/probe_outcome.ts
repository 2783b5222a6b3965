/** What came of a probe, or of looking a tunnel's names up. */

/** Why something failed, as far as it matters for what is done next. */
export type FailureCause =
  /** The proxy wants a user and password, or other ones. */
  | "credentials"
  /** Nobody answers at the tunnel's other end. */
  | "no-answer"
  /** The tunnel's other end says no, or makes no sense. */
  | "refused"
  /** A name of the tunnel's other end has no address. */
  | "no-such-name"
  /** No resolver answers: nothing can be said of the name. */
  | "resolver-unreachable"
  /** The tunnel stands, but what lies behind it does not answer. */
  | "beyond"
  /** The system would not. */
  | "system";

/** A failure, with one printable line for people, and what to do where that is known. */
export interface ProbeFailure {
  readonly kind: "failed";
  readonly cause: FailureCause;
  readonly text: string;
}

/** What came of a probe. */
export type ProbeOutcome = { readonly kind: "ok" } | ProbeFailure;

/** What came of looking up the names of a tunnel's other ends. */
export type ResolveOutcome =
  | {
    readonly kind: "ok";
    /** For each host its addresses, one at least. */
    readonly addresses: readonly (readonly Int32Array[])[];
  }
  | ProbeFailure;
