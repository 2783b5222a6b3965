/** Interfaces, addresses and routes, as every system has them. */
import type { AddressWords } from "../../core/wire/address.ts";
import type { InterfaceAddress } from "../ports.ts";

/** A network interface. */
export interface Link {
  readonly index: number;
  readonly name: string;
  readonly mtu: number;
  readonly up: boolean;
  /** It has its carrier: packets may go. */
  readonly running: boolean;
}

/** An address and the interface that has it. */
export interface LinkAddress extends InterfaceAddress {
  readonly index: number;
}

/** A route of the main table. */
export interface Route {
  readonly family: 4 | 6;
  /** Destination: address words. */
  readonly words: Int32Array;
  readonly prefixLength: number;
  /** The interface; 0 where the route has none, or several. */
  readonly index: number;
  /** Address words; undefined for what is on the link itself. */
  readonly gateway: Int32Array | undefined;
  /** 0 where the route has none. */
  readonly metric: number;
}

/** A route to add or to remove. */
export interface RouteRequest {
  readonly family: 4 | 6;
  readonly words: AddressWords;
  readonly prefixLength: number;
  readonly index: number;
  readonly gateway?: AddressWords;
  readonly metric?: number;
}
