/**
 * rtnetlink: the kernel's links, addresses and routes, without the `ip` program.
 */
import type { Libc } from "../../../../ffi/libc.ts";
import { type AddressWords, formatPrefix } from "../../../core/wire/address.ts";
import {
  addressDump,
  addressRequest,
  type LinkChange,
  linkDump,
  linkRequest,
  type NetlinkLink,
  type NetlinkRoute,
  parseAddressMessage,
  parseLink,
  parseRoute,
  routeDump,
  routeLookup,
  routeRequest,
  Rtm,
} from "./netlink_entities.ts";
import {
  parseRule,
  parseTableRoute,
  PolicyMessage,
  type PresentRule,
  type PresentTableRoute,
  ruleDump,
  ruleRequest,
  tableRouteRequest,
} from "./policy_entities.ts";
import type { RoutingRule, TableRoute } from "../../ports.ts";
import type { LinkAddress, RouteRequest } from "../network_entities.ts";
import {
  Flag,
  type NetlinkMessage,
  type RequestWriter,
} from "./netlink_message.ts";
import {
  NetlinkError,
  NetlinkProtocol,
  NetlinkSocket,
} from "./netlink_socket.ts";

export { NetlinkError };

const ENETUNREACH = 101;
const EHOSTUNREACH = 113;

/** A connection to the kernel's network configuration, for one thread. */
export class Netlink implements Disposable {
  readonly #socket: NetlinkSocket;

  /** @throws {LibcError} where the socket cannot be made. */
  constructor(libc: Libc) {
    this.#socket = new NetlinkSocket(libc, { protocol: NetlinkProtocol.Route });
  }

  /** All interfaces. */
  links(): NetlinkLink[] {
    return this.#dump("RTM_GETLINK", linkDump(DUMP_FLAGS), parseLink);
  }

  /** The interface of that name. */
  link(name: string): NetlinkLink | undefined {
    return this.links().find((link) => link.name === name);
  }

  /** Changes an interface. */
  setLink(index: number, change: LinkChange): void {
    this.#change(
      `RTM_NEWLINK ${JSON.stringify(change)}`,
      linkRequest(index, change, CHANGE_FLAGS),
    );
  }

  /** All addresses of all interfaces. */
  addresses(): LinkAddress[] {
    return this.#dump(
      "RTM_GETADDR",
      addressDump(DUMP_FLAGS),
      parseAddressMessage,
    );
  }

  /** Adds an address; one that is there already gives EEXIST. */
  addAddress(address: LinkAddress): void {
    this.#change(
      `RTM_NEWADDR ${networkText(address)}`,
      addressRequest(Rtm.NewAddress, address, ADD_FLAGS),
    );
  }

  /** Removes an address; one that is not there gives EADDRNOTAVAIL. */
  removeAddress(address: LinkAddress): void {
    this.#change(
      `RTM_DELADDR ${networkText(address)}`,
      addressRequest(Rtm.DeleteAddress, address, CHANGE_FLAGS),
    );
  }

  /** The unicast routes of the main table. */
  routes(): NetlinkRoute[] {
    return this.#dump("RTM_GETROUTE", routeDump(DUMP_FLAGS), parseRoute);
  }

  /** Adds a route; one with that prefix and metric gives EEXIST. */
  addRoute(route: RouteRequest): void {
    this.#change(
      `RTM_NEWROUTE ${networkText(route)}`,
      routeRequest(Rtm.NewRoute, route, ADD_FLAGS),
    );
  }

  /** Removes a route of ours; one that is not there gives ESRCH. */
  removeRoute(route: RouteRequest): void {
    this.#change(
      `RTM_DELROUTE ${networkText(route)}`,
      routeRequest(Rtm.DeleteRoute, route, CHANGE_FLAGS),
    );
  }

  /**
   * The route that a packet to an address would take; undefined without one.
   * @param mark the packet's.
   */
  lookup(words: AddressWords, mark = 0): NetlinkRoute | undefined {
    try {
      const request = routeLookup(words, { flags: Flag.Request, mark });
      return this.#socket.exchange("RTM_GETROUTE", request)
        .map(parseRoute).find((route) => route !== undefined);
    } catch (error) {
      const unreachable = error instanceof NetlinkError &&
        (error.code === ENETUNREACH || error.code === EHOSTUNREACH);
      if (unreachable) return undefined;
      throw error;
    }
  }

  /** All rules that lead to a table, of both families. */
  rules(): PresentRule[] {
    return this.#dump("RTM_GETRULE", ruleDump(DUMP_FLAGS), parseRule);
  }

  /** Adds a rule of ours; one that is there already gives EEXIST. */
  addRule(rule: RoutingRule): void {
    this.#change(
      `RTM_NEWRULE ${ruleText(rule)}`,
      ruleRequest(PolicyMessage.NewRule, rule, ADD_FLAGS),
    );
  }

  /** Removes a rule of ours; one that is not there gives ENOENT. */
  removeRule(rule: RoutingRule): void {
    this.#change(
      `RTM_DELRULE ${ruleText(rule)}`,
      ruleRequest(PolicyMessage.DeleteRule, rule, CHANGE_FLAGS),
    );
  }

  /** The routes of one table. */
  tableRoutes(table: number): PresentTableRoute[] {
    return this.#dump("RTM_GETROUTE", routeDump(DUMP_FLAGS), parseTableRoute)
      .filter((route) => route.table === table);
  }

  /** Sets a route of ours, in place of one with that prefix and metric. */
  setTableRoute(route: TableRoute & { readonly table: number }): void {
    this.#change(
      `RTM_NEWROUTE ${networkText(route)} table ${route.table}`,
      tableRouteRequest(PolicyMessage.NewRoute, route, SET_FLAGS),
    );
  }

  /** Removes a route of ours; one that is not there gives ESRCH. */
  removeTableRoute(route: TableRoute & { readonly table: number }): void {
    this.#change(
      `RTM_DELROUTE ${networkText(route)} table ${route.table}`,
      tableRouteRequest(PolicyMessage.DeleteRoute, route, CHANGE_FLAGS),
    );
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }

  #change(request: string, writer: RequestWriter): void {
    this.#socket.exchange(request, writer);
  }

  #dump<T>(
    request: string,
    writer: RequestWriter,
    parse: (message: NetlinkMessage) => T | undefined,
  ): T[] {
    return this.#socket.dump(request, writer).map(parse)
      .filter((entry) => entry !== undefined);
  }
}

function networkText(
  network: { family: 4 | 6; words: AddressWords; prefixLength: number },
): string {
  const { family, words, prefixLength } = network;
  return formatPrefix({
    family,
    words: Uint32Array.from(words),
    length: prefixLength,
  });
}

function ruleText(rule: RoutingRule): string {
  return `${rule.priority} to table ${rule.table} (IPv${rule.family})`;
}

const DUMP_FLAGS = Flag.Request | Flag.Dump;
const CHANGE_FLAGS = Flag.Request | Flag.Acknowledge;
const ADD_FLAGS = CHANGE_FLAGS | Flag.Create | Flag.Exclusive;
const SET_FLAGS = CHANGE_FLAGS | Flag.Create | Flag.Replace;
