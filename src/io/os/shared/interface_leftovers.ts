/** Addresses and routes that a killed process left at an interface. */
import { parsePrefix } from "../../../core/wire/address.ts";
import type { JournalEntry } from "../../ports.ts";
import { sameNetwork } from "../interface_change.ts";
import type { EntryTables } from "./interface_entries.ts";

/** Removes an address. @returns what was undone, or undefined where nothing was left. */
export function removeLeftAddress(
  tables: EntryTables,
  entry: JournalEntry & { kind: "address" },
): string | undefined {
  const prefix = parsePrefix(entry.prefix);
  if (prefix === undefined || !isSameLink(tables, entry)) return undefined;
  const { family, words, length } = prefix;
  const removed = tables.removeAddress({
    family,
    words: Int32Array.from(words),
    prefixLength: length,
    index: entry.index,
  });
  return removed
    ? `removed address ${entry.prefix} from ${entry.interface}`
    : undefined;
}

/** Removes a route. @returns what was undone, or undefined where nothing was left. */
export function removeLeftRoute(
  tables: EntryTables,
  entry: JournalEntry & { kind: "route" },
): string | undefined {
  const prefix = parsePrefix(entry.prefix);
  if (prefix === undefined || !isSameLink(tables, entry)) return undefined;
  const { family, words, length: prefixLength } = prefix;
  const left = tables.ownRoutes().find((route) =>
    route.index === entry.index &&
    sameNetwork(route, { family, words, prefixLength })
  );
  if (left === undefined) return undefined;
  const { index, metric } = entry;
  return tables.removeRoute({ family, words, prefixLength, index, metric })
    ? `removed route ${entry.prefix} through ${entry.interface}`
    : undefined;
}

/**
 * Whether an interface is the one that an entry speaks of: its number may come
 * again with another name, its name with another number.
 */
export function isSameLink(
  tables: Pick<EntryTables, "link">,
  entry: { readonly interface: string; readonly index: number },
): boolean {
  return tables.link(entry.interface)?.index === entry.index;
}
