/** Pings by an identifier of choice, where the system's program takes none. */

/** Sends echo requests and hears answers, of one family. */
export interface EchoProbe extends Disposable {
  /** Sends a request by whatever way routes say. @returns whether it left */
  send(words: Int32Array, identifier: number): boolean;
  /** Whether an answer with that identifier has come since. Never blocks. */
  isAnswered(identifier: number): boolean;
}
