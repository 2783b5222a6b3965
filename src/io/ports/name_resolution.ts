/** The system's name resolution, as a client takes it over and gives it back. */

/** What taking over works with. */
export interface NameResolutionOptions {
  /** The capture: the resolvers' addresses lie behind it. */
  readonly interfaceName: string;
  /** Whom the system shall ask. */
  readonly nameservers: readonly Int32Array[];
  readonly onWarning: (text: string) => void;
}

/** One taking over. */
export interface NameResolution extends Disposable {
  /** Has the system ask the name servers, and nobody else. @throws what it says. */
  take(): void;
  /** Gives it back. @throws what the system says. */
  restore(): void;
  /** Whom the system would ask without us; empty where that is not told. */
  resolvers(): { readonly words: Int32Array; readonly port: number }[];
}
