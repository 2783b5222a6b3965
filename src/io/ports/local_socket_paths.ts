/** Where programs of this machine talk to a running sluice. */
export interface LocalSocketPaths {
  /** An interface's, where `wg` looks for it. */
  uapi(interfaceName: string): string;
  /** The client's, for an administrator and for others; the first is made. */
  client(): readonly string[];
}
