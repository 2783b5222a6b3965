/**
 * Rules of the Name Resolution Policy Table: which resolvers the system asks for
 * which names. Without a rule it asks the resolvers of all interfaces at once;
 * with one for every name it asks ours alone.
 *
 * Rules stay over the end of their process and over a restart. Where a group
 * policy has a table, the local one does not count, so that a rule goes into
 * both. Source: [MS-GPNRPT], sections 2.2.2.1 to 2.2.2.13.
 */
import { openDnsapi } from "../../../../ffi/windows/dnsapi.ts";
import { openUserenv, RP_FORCE } from "../../../../ffi/windows/userenv.ts";
import {
  type AddressWords,
  formatAddress,
} from "../../../core/wire/address.ts";
import { Registry } from "./registry.ts";

const LOCAL_TABLE =
  "SYSTEM\\CurrentControlSet\\Services\\Dnscache\\Parameters\\DnsPolicyConfig";
const POLICY_TABLE =
  "SOFTWARE\\Policies\\Microsoft\\Windows NT\\DNSClient\\DnsPolicyConfig";
const TABLES = [LOCAL_TABLE, POLICY_TABLE] as const;
/** Of the root of all names. */
const EVERY_NAME = ".";
/** ConfigOptions: the rule names resolvers. */
const HAS_RESOLVERS = 8;
const RULE_VERSION = 1;

/** The rules, as far as ours are concerned. */
export interface NamePolicy extends Disposable {
  /** Has every name asked of some resolvers. @param key a GUID in braces. */
  set(key: string, resolvers: readonly AddressWords[]): void;
  /** Removes a rule. @returns whether there was one. */
  remove(key: string): boolean;
}

/** @throws {MissingLibraryError} */
export function openNamePolicy(): NamePolicy {
  return new RegistryNamePolicy();
}

class RegistryNamePolicy implements NamePolicy {
  readonly #registry = new Registry();

  set(key: string, resolvers: readonly AddressWords[]): void {
    const isManaged = this.#registry.has(POLICY_TABLE);
    for (const table of isManaged ? TABLES : [LOCAL_TABLE]) {
      this.#registry.set(`${table}\\${key}`, {
        Name: { kind: "texts", texts: [EVERY_NAME] },
        GenericDNSServers: {
          kind: "text",
          text: resolvers.map((words) => formatAddress(words)).join(";"),
        },
        ConfigOptions: { kind: "number", number: HAS_RESOLVERS },
        Version: { kind: "number", number: RULE_VERSION },
      });
    }
    takeEffect(isManaged);
  }

  remove(key: string): boolean {
    const removed = TABLES.map((table) =>
      this.#registry.remove(`${table}\\${key}`)
    );
    if (removed.includes(true)) takeEffect(removed[1]);
    return removed.includes(true);
  }

  [Symbol.dispose](): void {
    this.#registry[Symbol.dispose]();
  }
}

/** Has the system read its rules again, and forget what it has asked. */
function takeEffect(isManaged: boolean): void {
  if (isManaged) {
    using userenv = openUserenv();
    userenv.call.RefreshPolicyEx?.(1, RP_FORCE);
  }
  using dnsapi = openDnsapi();
  dnsapi.call.DnsFlushResolverCache?.();
}
