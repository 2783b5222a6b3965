/** Undoing what a killed process left of what Linux has. */
import type { Libc } from "../../../../ffi/libc.ts";
import type { JournalEntry } from "../../ports.ts";
import { removeFile } from "../recovery.ts";
import {
  isSameLink,
  removeLeftAddress,
  removeLeftRoute,
} from "../shared/interface_leftovers.ts";
import { NetlinkEntries } from "./entry_tables.ts";
import type { Netlink } from "./netlink.ts";
import { removeLeftFilterTable } from "./kill_switch.ts";
import { removeLeftRule, removeLeftTable } from "./policy_routing.ts";
import { restoreFilter } from "./reverse_path.ts";

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
  const entries = new NetlinkEntries(netlink);
  switch (entry.kind) {
    case "file":
      return removeFile(entry.path);
    case "address":
      return removeLeftAddress(entries, entry);
    case "route":
      return removeLeftRoute(entries, entry);
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
