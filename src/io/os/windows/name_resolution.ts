/**
 * The system's name resolution while the client runs: a rule of the name
 * resolution policy leads every name to an address inside the capture, and the
 * capture has that address as its resolver, for programs that ask by themselves
 * whom an interface names. Resolvers of other interfaces stay as they are.
 *
 * Windows asks by a service of its own (Dnscache) for all programs: whose
 * question it is, no packet tells, and rules see the service's.
 */
import { MissingLibraryError } from "../../../../ffi/windows/missing_library.ts";
import { Win32Error } from "../../../../ffi/windows/win32_error.ts";
import { equalWords, isMappedIpv4 } from "../../../core/wire/address.ts";
import type {
  Journal,
  JournalEntry,
  NameResolution,
  NameResolutionOptions,
} from "../../ports.ts";
import { type IpTables, openIpTables } from "./ip_helper.ts";
import { type NamePolicy, openNamePolicy } from "./name_policy.ts";
import { systemFolder } from "./system_folders.ts";

const SCOPE = "names";
const DNS_PORT = 53;
/** The prefix fec0:0:0:ffff::/64: resolvers that nobody has, named by Windows where it knows none. */
const NOBODY = [0xfec0_0000 | 0, 0xffff] as const;

/** What it works with. */
export interface WindowsNameResolutionOptions extends NameResolutionOptions {
  readonly tables: IpTables;
  readonly policy: NamePolicy;
  readonly journal: Journal;
}

/** The full path of what Dnscache runs as, like most services. */
export function nameService(): string {
  return `${systemFolder()}\\svchost.exe`;
}

/** Opens the name resolution. @throws {MissingLibraryError} */
export function openNameResolution(
  journal: Journal,
  options: NameResolutionOptions,
): NameResolution {
  using guard = new DisposableStack();
  const tables = guard.use(openIpTables());
  const policy = guard.use(openNamePolicy());
  guard.move();
  return new WindowsNameResolution({ ...options, tables, policy, journal });
}

/** See the file header. */
export class WindowsNameResolution implements NameResolution {
  readonly #options: WindowsNameResolutionOptions;
  /** The rule's key, while it is there. */
  #key: string | undefined;
  /** The capture's GUID, while its resolvers are ours. */
  #guid: string | undefined;

  constructor(options: WindowsNameResolutionOptions) {
    this.#options = options;
  }

  take(): void {
    if (this.#key !== undefined) return;
    const { tables, policy, interfaceName, nameservers } = this.#options;
    const link = tables.link(interfaceName);
    if (link === undefined) {
      throw new Error(`there is no interface named ${interfaceName}`);
    }
    this.#key = `{${crypto.randomUUID()}}`;
    this.#guid = link.guid;
    this.#record();
    try {
      policy.set(this.#key, nameservers);
    } catch (error) {
      this.restore();
      throw error;
    }
    this.#setResolvers(link.guid);
  }

  restore(): void {
    const { tables, policy } = this.#options;
    if (this.#guid !== undefined) this.#endResolvers(tables, this.#guid);
    this.#guid = undefined;
    if (this.#key !== undefined) policy.remove(this.#key);
    this.#key = undefined;
    this.#record();
  }

  resolvers(): { words: Int32Array; port: number }[] {
    const { tables, interfaceName } = this.#options;
    const capture = tables.link(interfaceName)?.index;
    const found: Int32Array[] = [];
    for (const { index, words } of tables.resolvers()) {
      if (index === capture || isOurs(words, this.#options.nameservers)) {
        continue;
      }
      if (isLoopback(words) || isNobody(words)) continue;
      if (!isOurs(words, found)) found.push(words);
    }
    return found.map((words) => ({ words, port: DNS_PORT }));
  }

  [Symbol.dispose](): void {
    this.#options.tables[Symbol.dispose]();
    this.#options.policy[Symbol.dispose]();
  }

  /** The rule alone does for what asks by the system. */
  #setResolvers(guid: string): void {
    const { tables, nameservers, interfaceName, onWarning } = this.#options;
    try {
      tables.setResolvers(guid, nameservers);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      this.#guid = undefined;
      this.#record();
      onWarning(
        `${interfaceName} got no resolver, so that programs that ask by themselves ask another one: ${error.message}`,
      );
    }
  }

  #endResolvers(tables: IpTables, guid: string): void {
    try {
      tables.setResolvers(guid, []);
    } catch (error) {
      // They go with their adapter.
      if (!isSystemError(error)) throw error;
    }
  }

  #record(): void {
    const { journal, interfaceName } = this.#options;
    const entries: JournalEntry[] = [];
    if (this.#key !== undefined) {
      entries.push({ kind: "name-policy", key: this.#key });
    }
    if (this.#guid !== undefined) {
      const guid = this.#guid;
      entries.push({ kind: "name-servers", interface: interfaceName, guid });
    }
    journal.record(SCOPE, entries);
  }
}

function isSystemError(error: unknown): error is Error {
  return error instanceof Win32Error || error instanceof MissingLibraryError;
}

function isOurs(
  words: Int32Array,
  list: readonly Int32Array[],
): boolean {
  return list.some((one) => equalWords(one, 0, words, 0));
}

function isLoopback(words: Int32Array): boolean {
  if (isMappedIpv4(words)) return words[3] >>> 24 === 127;
  return words[0] === 0 && words[1] === 0 && words[2] === 0 && words[3] === 1;
}

function isNobody(words: Int32Array): boolean {
  return words[0] === NOBODY[0] && words[1] === NOBODY[1];
}
