/** What this process may do. */

/** Whether /dev/net/tun can be opened, and if not, the system's reason. */
export type TunAccess =
  | { readonly kind: "usable" }
  | { readonly kind: "absent"; readonly path: string; readonly reason: string }
  | { readonly kind: "denied"; readonly path: string; readonly reason: string };

/** What this process may do. */
export interface Privileges {
  /** The effective user; 0 is root. */
  readonly userId: number;
  /** May change interfaces, addresses and routes. */
  readonly netAdmin: boolean;
  /** May open raw sockets. */
  readonly netRaw: boolean;
  readonly tun: TunAccess;
}
