/** What this process may do. */

/** What to do about what is missing, in the words of the system. */
export interface SystemAdvice {
  /** The right to change interfaces, by its name. */
  readonly rightsName: string;
  /** How to get that right. */
  readonly rights: string;
  /** How to get TUN adapters. */
  readonly driver: string;
  /** What tells which program has a UDP port. */
  readonly ports: string;
  /** How to get the packet filter of the kill switch. */
  readonly filter: string;
}

/**
 * Whether the device that TUN interfaces are made with can be opened, and if
 * not, the system's reason. Where that shows only in making one, it is usable.
 */
export type TunAccess =
  | { readonly kind: "usable" }
  | { readonly kind: "absent"; readonly path: string; readonly reason: string }
  | { readonly kind: "denied"; readonly path: string; readonly reason: string };

/** What this process may do. */
export interface Privileges {
  /** The effective user; 0 is root, or an administrator. */
  readonly userId: number;
  /** May change interfaces, addresses and routes. */
  readonly netAdmin: boolean;
  /** May open raw sockets. */
  readonly netRaw: boolean;
  readonly tun: TunAccess;
  readonly advice: SystemAdvice;
}
