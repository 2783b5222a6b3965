/**
 * Connections between programs of one machine: unix sockets, or the named pipes
 * of Windows.
 */

/** A byte stream to another program. */
export interface LocalConnection {
  /** @returns how many bytes came; null at the end. */
  read(bytes: Uint8Array): Promise<number | null>;
  /** @returns how many bytes were taken. */
  write(bytes: Uint8Array): Promise<number>;
  /** Ends reads and writes that wait. @throws where it is closed already. */
  close(): void;
}

/** Takes connections until it is closed. */
export interface LocalListener extends AsyncIterable<LocalConnection> {
  /** Connections that were taken live on; the name is free. */
  close(): Promise<void>;
}

/** What became of the wish to listen. */
export type LocalListening =
  | { readonly kind: "listening"; readonly listener: LocalListener }
  /** The name is another running program's, or that of a file. */
  | { readonly kind: "in-use"; readonly by: "program" | "file" };

/** A place to meet at. */
export interface LocalSocket {
  readonly path: string;
  /** Whether it is a file, which a killed program leaves behind. */
  readonly isFile: boolean;
  /**
   * Listens, for the owner and administrators alone; what a crash left is removed.
   * @param onFailure hears why for now no connection can be taken; it goes on when it can.
   * @throws {Deno.errors.PermissionDenied} and what else the system says.
   */
  listen(onFailure?: (error: unknown) => void): Promise<LocalListening>;
  /**
   * Connects.
   * @throws {Deno.errors.PermissionDenied} where it is somebody else's; another
   *         error of the system's where nobody listens.
   */
  connect(): Promise<LocalConnection>;
}

/** Where programs of this machine talk to a running sluice. */
export interface LocalSockets {
  /** An interface's, where `wg` looks for it. */
  uapi(interfaceName: string): LocalSocket;
  /** The client's, for an administrator and for others; the first is made. */
  client(): readonly LocalSocket[];
  at(path: string): LocalSocket;
}
