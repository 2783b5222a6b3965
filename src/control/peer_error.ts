/** A peer command that can't be done; says what would help. */
export class PeerError extends Error {
  override readonly name = "PeerError";
  /** What the user can do. */
  readonly hint: string | undefined;

  constructor(message: string, hint?: string) {
    super(message);
    this.hint = hint;
  }
}
