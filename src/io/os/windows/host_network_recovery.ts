/** Undoing what a killed process left of what Windows has. */
import type { JournalEntry } from "../../ports.ts";
import { removeFile } from "../recovery.ts";
import {
  removeLeftAddress,
  removeLeftRoute,
} from "../shared/interface_leftovers.ts";
import { IpEntries } from "./entry_tables.ts";
import { removeRule, type RunProgram } from "./firewall_rule.ts";
import type { IpTables } from "./ip_helper.ts";
import type { NamePolicy } from "./name_policy.ts";
import { GONE, tolerate } from "./tolerate.ts";

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
  const entries = new IpEntries(tables);
  switch (entry.kind) {
    case "file":
      return removeFile(entry.path);
    case "address":
      return removeLeftAddress(entries, entry);
    case "route":
      return removeLeftRoute(entries, entry);
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

function removeResolvers(
  tables: IpTables,
  { interface: name, guid }: JournalEntry & { kind: "name-servers" },
): string | undefined {
  if (tables.link(name)?.guid !== guid) return undefined;
  return tolerate(GONE, () => tables.setResolvers(guid, []))
    ? `removed the resolvers of ${name}`
    : undefined;
}
