/** Undoing what a killed process left of what Windows has. */
import { Win32, Win32Error } from "../../../../ffi/windows/win32_error.ts";
import { equalWords, parsePrefix } from "../../../core/wire/address.ts";
import type { JournalEntry } from "../../ports.ts";
import { removeFile } from "../recovery.ts";
import { removeRule, type RunProgram } from "./firewall_rule.ts";
import type { IpTables } from "./ip_helper.ts";
import type { NamePolicy } from "./name_policy.ts";

/** What leftovers are removed with. */
export interface System {
  readonly tables: IpTables;
  readonly policy: NamePolicy;
  readonly run: RunProgram;
}

/** Undoes an entry. @returns what was undone, or undefined where nothing was left. */
export function undoEntry(
  system: System,
  entry: JournalEntry,
): string | undefined {
  const { tables, policy, run } = system;
  switch (entry.kind) {
    case "file":
      return removeFile(entry.path);
    case "address":
      return removeAddress(tables, entry);
    case "route":
      return removeRoute(tables, entry);
    case "firewall-rule":
      return removeRule(run, entry.name)
        ? `removed firewall rule ${entry.name}`
        : undefined;
    case "name-policy":
      return policy.remove(entry.key)
        ? "removed a rule of name resolution"
        : undefined;
    case "name-servers":
      return removeResolvers(tables, entry);
    default:
      return undefined; // another system's
  }
}

function removeAddress(
  tables: IpTables,
  entry: JournalEntry & { kind: "address" },
): string | undefined {
  const prefix = parsePrefix(entry.prefix);
  if (prefix === undefined || !isSameLink(tables, entry)) return undefined;
  const removed = attempt(() =>
    tables.removeAddress({
      family: prefix.family,
      words: Int32Array.from(prefix.words),
      prefixLength: prefix.length,
      index: entry.index,
    })
  );
  return removed
    ? `removed address ${entry.prefix} from ${entry.interface}`
    : undefined;
}

function removeRoute(
  tables: IpTables,
  entry: JournalEntry & { kind: "route" },
): string | undefined {
  const prefix = parsePrefix(entry.prefix);
  if (prefix === undefined || !isSameLink(tables, entry)) return undefined;
  const present = tables.routes().find((route) =>
    route.index === entry.index && route.gateway === undefined &&
    route.family === prefix.family && route.prefixLength === prefix.length &&
    equalWords(route.words, 0, prefix.words, 0)
  );
  if (present === undefined) return undefined;
  const { family, words, prefixLength, index } = present;
  return attempt(() =>
      tables.removeRoute({ family, words, prefixLength, index })
    )
    ? `removed route ${entry.prefix} through ${entry.interface}`
    : undefined;
}

function removeResolvers(
  tables: IpTables,
  { interface: name, guid }: JournalEntry & { kind: "name-servers" },
): string | undefined {
  if (tables.link(name)?.guid !== guid) return undefined;
  return attempt(() => tables.setResolvers(guid, []))
    ? `removed the resolvers of ${name}`
    : undefined;
}

/** A number may come again with another adapter, a name with another number. */
function isSameLink(
  tables: IpTables,
  entry: { readonly interface: string; readonly index: number },
): boolean {
  return tables.link(entry.interface)?.index === entry.index;
}

/** @returns false where the thing was gone already. */
function attempt(change: () => void): boolean {
  try {
    change();
    return true;
  } catch (error) {
    const isGone = error instanceof Win32Error &&
      (error.code === Win32.NotFound || error.code === Win32.FileNotFound);
    if (isGone) return false;
    throw error;
  }
}
