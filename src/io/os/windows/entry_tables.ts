/** Addresses and routes of interfaces by iphlpapi, as changes that may be made already. */
import { Win32, Win32Error } from "../../../../ffi/windows/win32_error.ts";
import { equalWords } from "../../../core/wire/address.ts";
import { prefixText, sameNetwork } from "../interface_change.ts";
import type {
  Link,
  LinkAddress,
  Route,
  RouteRequest,
} from "../network_entities.ts";
import type { EntryTables } from "../shared/interface_entries.ts";
import type { IpTables } from "./ip_helper.ts";
import { GONE, tolerate } from "./tolerate.ts";

/** See the file header. */
export class IpEntries implements EntryTables {
  readonly #tables: IpTables;

  constructor(tables: IpTables) {
    this.#tables = tables;
  }

  link(name: string): Link | undefined {
    return this.#tables.link(name);
  }

  addresses(): LinkAddress[] {
    return this.#tables.addresses();
  }

  routes(): Route[] {
    return this.#tables.routes();
  }

  ownRoutes(): Route[] {
    return this.#tables.routes()
      .filter(({ gateway }) => gateway === undefined);
  }

  /** @throws {Error} where another interface has the address. */
  addAddress(address: LinkAddress): void {
    try {
      this.#tables.addAddress(address);
    } catch (error) {
      if (!isCode(error, Win32.ObjectAlreadyExists)) throw error;
      // One address is one interface's, be that one down or not.
      const holder = this.#tables.addresses().find((other) =>
        other.index !== address.index &&
        equalWords(other.words, 0, address.words, 0)
      );
      if (holder === undefined) return;
      throw new Error(
        `address ${prefixText(address)}: ${this.#nameOf(holder.index)} has it`,
        { cause: error },
      );
    }
  }

  /** @throws {Error} where the interface has another route there. */
  addRoute(route: RouteRequest): void {
    try {
      this.#tables.addRoute(route);
    } catch (error) {
      if (!isCode(error, Win32.ObjectAlreadyExists)) throw error;
      // Of the same interface and next hop, with another metric.
      const other = this.#tables.routes().find((present) =>
        present.index === route.index && sameNetwork(present, route)
      );
      if (other === undefined) return;
      throw new Error(
        `route ${prefixText(route)}: there is one already through ` +
          this.#nameOf(other.index),
        { cause: error },
      );
    }
  }

  removeAddress(address: LinkAddress): boolean {
    return tolerate(GONE, () => this.#tables.removeAddress(address));
  }

  removeRoute(route: RouteRequest): boolean {
    return tolerate(GONE, () => this.#tables.removeRoute(route));
  }

  #nameOf(index: number): string {
    return this.#tables.links().find((link) => link.index === index)?.name ??
      `interface ${index}`;
  }
}

function isCode(error: unknown, code: number): boolean {
  return error instanceof Win32Error && error.code === code;
}
