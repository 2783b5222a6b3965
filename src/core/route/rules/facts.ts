/** What is known of a flow and of the tunnels when rules decide. */
import type { AddressWords } from "../../wire/address.ts";
import { Protocol } from "../../wire/protocol.ts";

/** A program as rules see it. */
export interface Program {
  /** Of the executable file, absolute. */
  readonly path: string;
  /** The file's name. */
  readonly name: string;
}

/** The program that a flow belongs to. */
export interface FlowOwner extends Program {
  /** The user's name; on Windows `DOMAIN\name` or `name`. */
  readonly user: string;
  /** The user's number, where the system has one. */
  readonly userId?: number;
  /** Parent first; those that have ended as well, where they are known. */
  readonly ancestors: readonly Program[];
}

/** A flow, by its first packet. */
export interface FlowFacts {
  /** IP protocol number. */
  readonly protocol: number;
  /** The destination: four address words. */
  readonly words: AddressWords;
  /** The destination's; 0 where the protocol has none. */
  readonly port: number;
  /** Names that this program has resolved to this address, in lower case. */
  readonly names: readonly string[];
  /** Undefined where it could not be found. */
  readonly owner: FlowOwner | undefined;
  readonly fragment: "none" | "first" | "later";
}

/**
 * How a tunnel stands. degraded: it carries, but its health checks fail;
 * connecting: not usable yet, or not again.
 */
export type TunnelState = "up" | "degraded" | "connecting" | "down";

/** What goes through a tunnel. */
export interface TunnelCarries {
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  readonly tcp: boolean;
  readonly udp: boolean;
  readonly icmp: boolean;
  /** Any other protocol. */
  readonly other: boolean;
}

/** A tunnel as rules see it. */
export interface TunnelFacts {
  readonly state: TunnelState;
  readonly carries: TunnelCarries;
}

/** Tunnels by name; one that is missing counts as down. */
export type TunnelTable = ReadonlyMap<string, TunnelFacts>;

/** Whether the protocol is that of pings and errors, of either family. */
export function isIcmp(protocol: number): boolean {
  return protocol === Protocol.Icmp || protocol === Protocol.Icmpv6;
}
