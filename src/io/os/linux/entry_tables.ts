/** Addresses and routes of interfaces by netlink, as changes that may be made already. */
import { prefixText, sameNetwork } from "../interface_change.ts";
import type {
  Link,
  LinkAddress,
  Route,
  RouteRequest,
} from "../network_entities.ts";
import type { EntryTables } from "../shared/interface_entries.ts";
import { type Netlink, NetlinkError } from "./netlink.ts";
import { ROUTE_PROTOCOL } from "./netlink_entities.ts";
import { tolerate } from "./tolerate.ts";

const ENOENT = 2;
const ESRCH = 3;
const EEXIST = 17;
/** The address's family was switched off at the interface, and it with it. */
const ENXIO = 6;
const ENODEV = 19;
const EADDRNOTAVAIL = 99;

/** See the file header. */
export class NetlinkEntries implements EntryTables {
  readonly #netlink: Netlink;

  constructor(netlink: Netlink) {
    this.#netlink = netlink;
  }

  link(name: string): Link | undefined {
    return this.#netlink.link(name);
  }

  addresses(): LinkAddress[] {
    return this.#netlink.addresses();
  }

  routes(): Route[] {
    return this.#netlink.routes();
  }

  ownRoutes(): Route[] {
    return this.#netlink.routes()
      .filter(({ protocol }) => protocol === ROUTE_PROTOCOL);
  }

  addAddress(address: LinkAddress): void {
    tolerate([EEXIST], () => this.#netlink.addAddress(address));
  }

  /** @throws {Error} where there is such a route already, and whose it is. */
  addRoute(route: RouteRequest): void {
    try {
      this.#netlink.addRoute(route);
    } catch (error) {
      if (!(error instanceof NetlinkError) || error.code !== EEXIST) {
        throw error;
      }
      const other = this.#netlink.routes().find((present) =>
        sameNetwork(present, route) &&
        (route.metric === undefined || present.metric === route.metric)
      );
      const links = this.#netlink.links();
      const holder = links.find((link) => link.index === other?.index)?.name;
      throw new Error(
        `route ${prefixText(route)}: there is one already` +
          (holder === undefined ? "" : ` through ${holder}`),
        { cause: error },
      );
    }
  }

  removeAddress(address: LinkAddress): boolean {
    return tolerate(
      [EADDRNOTAVAIL, ENODEV, ENXIO],
      () => this.#netlink.removeAddress(address),
    );
  }

  removeRoute(route: RouteRequest): boolean {
    return tolerate(
      [ESRCH, ENODEV, ENOENT],
      () => this.#netlink.removeRoute(route),
    );
  }
}
