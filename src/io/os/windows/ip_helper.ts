/** The host's network by iphlpapi.dll, for one thread. */
import {
  type Iphlpapi,
  openIphlpapi,
} from "../../../../ffi/windows/iphlpapi.ts";
import {
  dnsInterfaceSettings,
  mibIfRow2,
  mibIpforwardRow2,
  mibIpinterfaceRow,
  mibTable,
  mibUnicastipaddressRow,
  sockaddrInet,
} from "../../../../ffi/windows/layouts/iphlpapi.ts";
import { checkWin32, Win32 } from "../../../../ffi/windows/win32_error.ts";
import { wideText } from "../../../../ffi/windows/wide_text.ts";
import {
  type AddressWords,
  formatAddress,
  isMappedIpv4,
} from "../../../core/wire/address.ts";
import { readU32le, writeU16le, writeU32le } from "../../../core/wire/bytes.ts";
import { prefixText } from "../interface_change.ts";
import type { LinkAddress, Route, RouteRequest } from "../network_entities.ts";
import { resolversOf } from "./adapter_resolvers.ts";
import { parseGuid } from "./guid.ts";
import {
  type FamilySettings,
  metricInForce,
  readAddress,
  readFamily,
  readLink,
  readLinkAddress,
  readRoute,
  systemFamily,
  type WindowsLink,
  writeAddress,
  writeFamily,
  writeLinkAddress,
  writeRoute,
} from "./ip_rows.ts";

const AF_UNSPEC = 0;
/** DNS_SETTING_NAMESERVER; the address's family is that of the texts. */
const DNS_SETTING_NAMESERVER = 2;
const DNS_SETTING_IPV6 = 1;

/** A route with what the system weighs it by. */
export interface WeighedRoute extends Route {
  /** Its own metric and the interface's: lower wins. */
  readonly weight: number;
}

/** What the host's network is read and changed by. */
export interface IpTables extends Disposable {
  links(): WindowsLink[];
  /** The interface of that name, whatever its case. */
  link(name: string): WindowsLink | undefined;
  addresses(): LinkAddress[];
  routes(): WeighedRoute[];
  /** One family of an interface; undefined where it has none (yet). */
  family(index: number, family: 4 | 6): FamilySettings | undefined;
  setFamily(index: number, family: 4 | 6, settings: FamilySettings): void;
  addAddress(address: LinkAddress): void;
  removeAddress(address: LinkAddress): void;
  addRoute(route: RouteRequest): void;
  removeRoute(route: RouteRequest): void;
  /** The address that an interface would send from; undefined where that isn't told. */
  bestSource(index: number, words: AddressWords): Int32Array | undefined;
  /** The resolvers of the interfaces that are up, the best interface first. */
  resolvers(): { readonly index: number; readonly words: Int32Array }[];
  /** Sets the resolvers of an interface, by its GUID; none at all end them. */
  setResolvers(guid: string, resolvers: readonly AddressWords[]): void;
}

/** @throws {MissingLibraryError} */
export function openIpTables(): IpTables {
  return new IpHelper(openIphlpapi());
}

class IpHelper implements IpTables {
  readonly #library: Iphlpapi;

  constructor(library: Iphlpapi) {
    this.#library = library;
  }

  links(): WindowsLink[] {
    const { GetIfTable2 } = this.#library.call;
    return this.#rows("GetIfTable2", mibIfRow2.size, (out) => GetIfTable2(out))
      .map(readLink);
  }

  link(name: string): WindowsLink | undefined {
    const lower = name.toLowerCase();
    return this.links().find((link) => link.name.toLowerCase() === lower);
  }

  addresses(): LinkAddress[] {
    const { GetUnicastIpAddressTable } = this.#library.call;
    return this.#rows(
      "GetUnicastIpAddressTable",
      mibUnicastipaddressRow.size,
      (out) => GetUnicastIpAddressTable(AF_UNSPEC, out),
    ).flatMap((row) => readLinkAddress(row) ?? []);
  }

  routes(): WeighedRoute[] {
    const { GetIpForwardTable2 } = this.#library.call;
    const metrics = new Map<string, number>();
    return this.#rows(
      "GetIpForwardTable2",
      mibIpforwardRow2.size,
      (out) => GetIpForwardTable2(AF_UNSPEC, out),
    ).flatMap((row) => {
      const route = readRoute(row);
      if (route === undefined) return [];
      const key = `${route.index} ${route.family}`;
      const known = metrics.get(key) ?? this.#metric(route);
      metrics.set(key, known);
      return [{ ...route, weight: route.metric + known }];
    });
  }

  family(index: number, family: 4 | 6): FamilySettings | undefined {
    const row = this.#familyRow(index, family);
    return row && readFamily(row);
  }

  setFamily(index: number, family: 4 | 6, settings: FamilySettings): void {
    const row = this.#familyRow(index, family);
    const call = `SetIpInterfaceEntry IPv${family} ${JSON.stringify(settings)}`;
    if (row === undefined) return checkWin32(call, Win32.NotFound);
    writeFamily(row, settings);
    checkWin32(call, this.#library.optional("SetIpInterfaceEntry")(row));
  }

  addAddress(address: LinkAddress): void {
    const row = new Uint8Array(mibUnicastipaddressRow.size);
    this.#library.optional("InitializeUnicastIpAddressEntry")(row);
    writeLinkAddress(row, address);
    checkWin32(
      `CreateUnicastIpAddressEntry ${prefixText(address)}`,
      this.#library.optional("CreateUnicastIpAddressEntry")(row),
    );
  }

  removeAddress(address: LinkAddress): void {
    const row = new Uint8Array(mibUnicastipaddressRow.size);
    this.#library.optional("InitializeUnicastIpAddressEntry")(row);
    writeLinkAddress(row, address);
    checkWin32(
      `DeleteUnicastIpAddressEntry ${prefixText(address)}`,
      this.#library.optional("DeleteUnicastIpAddressEntry")(row),
    );
  }

  addRoute(route: RouteRequest): void {
    const row = new Uint8Array(mibIpforwardRow2.size);
    this.#library.optional("InitializeIpForwardEntry")(row);
    writeRoute(row, route);
    checkWin32(
      `CreateIpForwardEntry2 ${prefixText(route)}`,
      this.#library.optional("CreateIpForwardEntry2")(row),
    );
  }

  removeRoute(route: RouteRequest): void {
    const row = new Uint8Array(mibIpforwardRow2.size);
    this.#library.optional("InitializeIpForwardEntry")(row);
    writeRoute(row, route);
    checkWin32(
      `DeleteIpForwardEntry2 ${prefixText(route)}`,
      this.#library.optional("DeleteIpForwardEntry2")(row),
    );
  }

  bestSource(index: number, words: AddressWords): Int32Array | undefined {
    const { GetBestRoute2 } = this.#library.call;
    if (GetBestRoute2 === null) return undefined;
    const destination = new Uint8Array(sockaddrInet.size);
    writeAddress(destination, 0, words, isMappedIpv4(words) ? 4 : 6);
    const route = new Uint8Array(mibIpforwardRow2.size);
    const source = new Uint8Array(sockaddrInet.size);
    const code = GetBestRoute2(
      null,
      index,
      null,
      destination,
      0,
      route,
      source,
    );
    // Wine has the call, but not what it does.
    return code === Win32.Success ? readAddress(source, 0)?.words : undefined;
  }

  resolvers(): { index: number; words: Int32Array }[] {
    return resolversOf(this.#library);
  }

  setResolvers(guid: string, resolvers: readonly AddressWords[]): void {
    for (const family of [4, 6] as const) {
      const texts = resolvers
        .filter((words) => isMappedIpv4(words) === (family === 4))
        .map((words) => formatAddress(words));
      const list = wideText(texts.join(","));
      const settings = new Uint8Array(dnsInterfaceSettings.size);
      const { at } = dnsInterfaceSettings;
      writeU32le(settings, at.Version, 1);
      const flags = DNS_SETTING_NAMESERVER |
        (family === 6 ? DNS_SETTING_IPV6 : 0);
      writeU32le(settings, at.Flags, flags);
      new DataView(settings.buffer).setBigUint64(
        at.NameServer,
        BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(list))),
        true,
      );
      checkWin32(
        `SetInterfaceDnsSettings IPv${family} ${texts.join(",")}`,
        this.#library.optional("SetInterfaceDnsSettings")(
          parseGuid(guid),
          settings,
        ),
      );
    }
  }

  [Symbol.dispose](): void {
    this.#library[Symbol.dispose]();
  }

  #metric({ index, family }: Route): number {
    if (!this.#library.has("GetIpInterfaceEntry")) return 0;
    const row = this.#familyRow(index, family);
    return row === undefined ? 0 : metricInForce(row);
  }

  #familyRow(index: number, family: 4 | 6): Uint8Array | undefined {
    const row = new Uint8Array(mibIpinterfaceRow.size);
    writeU16le(row, mibIpinterfaceRow.at.Family, systemFamily(family));
    writeU32le(row, mibIpinterfaceRow.at.InterfaceIndex, index);
    const code = this.#library.optional("GetIpInterfaceEntry")(row);
    if (code === Win32.NotFound || code === Win32.FileNotFound) {
      return undefined;
    }
    checkWin32(`GetIpInterfaceEntry ${index}`, code);
    return row;
  }

  /** Copies the rows of a table that the system allocates. */
  #rows(
    call: string,
    size: number,
    read: (out: BigUint64Array<ArrayBuffer>) => number,
  ): Uint8Array[] {
    const out = new BigUint64Array(1);
    const code = read(out);
    // An empty table.
    if (code === Win32.NotFound) return [];
    checkWin32(call, code);
    const pointer = Deno.UnsafePointer.create(out[0]);
    if (pointer === null) return [];
    try {
      const view = new Deno.UnsafePointerView(pointer);
      const first = mibTable.at.Table;
      const head = new Uint8Array(view.getArrayBuffer(first));
      const count = readU32le(head, mibTable.at.NumEntries);
      const bytes = new Uint8Array(
        view.getArrayBuffer(first + count * size).slice(first),
      );
      return Array.from(
        { length: count },
        (_, i) => bytes.subarray(i * size, (i + 1) * size),
      );
    } finally {
      this.#library.call.FreeMibTable(pointer);
    }
  }
}
