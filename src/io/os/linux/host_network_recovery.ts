/** Undoing what a killed process left of what Linux has. */
import type { Libc } from "../../../../ffi/libc.ts";
import { equalWords, parsePrefix } from "../../../core/wire/address.ts";
import type { JournalEntry } from "../../ports.ts";
import { removeFile } from "../recovery.ts";
import { type Netlink, NetlinkError } from "./netlink.ts";
import { removeLeftFilterTable } from "./kill_switch.ts";
import { removeLeftRule, removeLeftTable } from "./policy_routing.ts";
import { restoreFilter } from "./reverse_path.ts";
import { ROUTE_PROTOCOL } from "./netlink_entities.ts";

const ESRCH = 3;
const ENXIO = 6;
const ENODEV = 19;
const EADDRNOTAVAIL = 99;

/** What leftovers are removed with. */
export interface System {
  readonly libc: Libc;
  readonly netlink: Netlink;
}

/** Undoes an entry. @returns what was undone, or undefined where nothing was left. */
export function undoEntry(
  system: System,
  entry: JournalEntry,
): string | undefined {
  const { libc, netlink } = system;
  switch (entry.kind) {
    case "file":
      return removeFile(entry.path);
    case "address":
      return removeAddress(netlink, entry);
    case "route":
      return removeRoute(netlink, entry);
    case "reverse-path":
      return isSameLink(netlink, entry) &&
          restoreFilter(entry.interface, entry.value)
        ? `gave ${entry.interface} its reverse path filter back`
        : undefined;
    case "routing-rule":
      return removeLeftRule(netlink, entry)
        ? `removed routing rule ${entry.priority} (IPv${entry.family})`
        : undefined;
    case "routing-table":
      return removeLeftTable(netlink, entry.table)
        ? `removed the routes of table ${entry.table}`
        : undefined;
    case "filter-table":
      return removeLeftFilterTable(libc, entry)
        ? "lifted the kill switch"
        : undefined;
    case "firewall-rule":
    case "name-policy":
    case "name-servers":
      return undefined; // another system's
  }
}

function removeAddress(
  netlink: Netlink,
  entry: JournalEntry & { kind: "address" },
): string | undefined {
  const prefix = parsePrefix(entry.prefix);
  if (prefix === undefined || !isSameLink(netlink, entry)) return undefined;
  const removed = attempt(
    [EADDRNOTAVAIL, ENODEV, ENXIO],
    () =>
      netlink.removeAddress({
        family: prefix.family,
        words: Int32Array.from(prefix.words),
        prefixLength: prefix.length,
        index: entry.index,
      }),
  );
  return removed
    ? `removed address ${entry.prefix} from ${entry.interface}`
    : undefined;
}

function removeRoute(
  netlink: Netlink,
  entry: JournalEntry & { kind: "route" },
): string | undefined {
  const prefix = parsePrefix(entry.prefix);
  if (prefix === undefined || !isSameLink(netlink, entry)) return undefined;
  const present = netlink.routes().find((route) =>
    route.index === entry.index && route.protocol === ROUTE_PROTOCOL &&
    route.family === prefix.family && route.prefixLength === prefix.length &&
    equalWords(route.words, 0, prefix.words, 0)
  );
  if (present === undefined) return undefined;
  const { family, words, prefixLength, index } = present;
  const route = { family, words, prefixLength, index, metric: entry.metric };
  return attempt([ESRCH, ENODEV], () => netlink.removeRoute(route))
    ? `removed route ${entry.prefix} through ${entry.interface}`
    : undefined;
}

/** Numbers of interfaces are not used twice, so name and number tell. */
function isSameLink(
  netlink: Netlink,
  entry: { readonly interface: string; readonly index: number },
): boolean {
  return netlink.link(entry.interface)?.index === entry.index;
}

/** @returns false where the thing was gone already. */
function attempt(goneCodes: readonly number[], change: () => void): boolean {
  try {
    change();
    return true;
  } catch (error) {
    if (error instanceof NetlinkError && goneCodes.includes(error.code)) {
      return false;
    }
    throw error;
  }
}
