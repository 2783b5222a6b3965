/**
 * Undoing what a killed process left: its journal says what it had changed.
 */
import type { Libc } from "../../../../ffi/libc.ts";
import { equalWords, parsePrefix } from "../../../core/wire/address.ts";
import type { Journal, JournalEntry, Leftover } from "../../ports.ts";
import { type Netlink, NetlinkError } from "./netlink.ts";
import { removeLeftFilterTable } from "./kill_switch.ts";
import { removeLeftRule, removeLeftTable } from "./policy_routing.ts";
import { restoreFilter } from "./reverse_path.ts";
import { ROUTE_PROTOCOL } from "./netlink_entities.ts";

const ESRCH = 3;
const ENXIO = 6;
const ENODEV = 19;
const EADDRNOTAVAIL = 99;

/**
 * Undoes the journals of dead processes, the last change first.
 * @returns a line about each thing undone, each failure and each file that made
 * no sense.
 */
export function recoverLeftovers(system: System, journal: Journal): string[] {
  return journal.leftovers().flatMap((leftover) => {
    if (leftover.kind === "malformed") {
      journal.forget(leftover);
      const { path, reason } = leftover;
      return [`put aside ${path}, a journal that makes no sense: ${reason}`];
    }
    return recoverEntries(system, journal, leftover);
  });
}

/** What leftovers are removed with. */
export interface System {
  readonly libc: Libc;
  readonly netlink: Netlink;
}

function recoverEntries(
  system: System,
  journal: Journal,
  leftover: Leftover & { kind: "entries" },
): string[] {
  const lines: string[] = [];
  let open = false;
  for (const entry of leftover.entries.toReversed()) {
    if (entry.kind !== "file" && leftover.network !== "ours") {
      open ||= leftover.network === "other";
      continue;
    }
    try {
      const undone = undo(system, entry);
      if (undone === undefined) continue;
      lines.push(`${undone}, left by process ${leftover.processId}`);
    } catch (error) {
      open = true;
      lines.push(error instanceof Error ? error.message : String(error));
    }
  }
  // What could not be undone yet is tried again by the next start.
  if (!open) journal.forget(leftover);
  return lines;
}

/** @returns what was undone, or undefined where nothing was left. */
function undo(system: System, entry: JournalEntry): string | undefined {
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
  }
}

function removeFile(path: string): string | undefined {
  try {
    const info = Deno.lstatSync(path);
    if (info.isDirectory) return undefined;
    Deno.removeSync(path);
    return `removed ${path}`;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
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
