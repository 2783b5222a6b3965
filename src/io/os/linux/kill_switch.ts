/**
 * The kill switch by nf_tables: a table `inet sluice`, made and replaced in one
 * step.
 *
 * Where it shall go when this process dies, it belongs to the netlink socket
 * that made it (Linux 5.12): the kernel removes it with the socket. Older kernels
 * leave that to the journal and the next start. What its packets' senders could
 * do about it: a program with CAP_NET_ADMIN may set our mark, one with
 * CAP_NET_RAW sends past every packet filter (AF_PACKET), as DHCP clients do.
 */
import { type Libc, LibcError } from "../../../../ffi/libc.ts";
import { nfgenmsg } from "../../../../ffi/linux_layouts.ts";
import { readU32be } from "../../../core/wire/bytes.ts";
import {
  type Journal,
  type KillSwitch,
  KillSwitchError,
  type KillSwitchPolicy,
  type KillSwitchProblem,
  type KillSwitchState,
} from "../../ports.ts";
import { killSwitchRequests, TABLE } from "./kill_switch_rules.ts";
import {
  attributeText,
  type NetlinkMessage,
  parseAttributes,
} from "./netlink_message.ts";
import {
  type NamedRequest,
  NetlinkError,
  NetlinkProtocol,
  NetlinkSocket,
} from "./netlink_socket.ts";
import {
  batchFrame,
  CounterAttribute,
  deleteTable,
  newTable,
  NftMessage,
  RuleAttribute,
  rulesDump,
  StepAttribute,
  TABLE_OWNED,
  TableAttribute,
  tablesDump,
} from "./nft_messages.ts";

const EPERM = 1;
const ENOENT = 2;
const EBUSY = 16;
const EINVAL = 22;
const EPROTONOSUPPORT = 93;
const EOPNOTSUPP = 95;
const EAFNOSUPPORT = 97;
const SCOPE = "kill-switch";
const OLD_TABLE = "old table";

/** What a kill switch works with. */
export interface KillSwitchOptions {
  readonly libc: Libc;
  readonly journal: Journal;
  /** The mark of packets that sluice itself sends; not 0. */
  readonly mark: number;
  /**
   * How a table that shall not stay is removed after a crash: by the kernel
   * where it can, or only by the next start.
   */
  readonly removal?: "kernel" | "journal";
}

/** @throws {KillSwitchError} where the kernel has no nf_tables. */
export function openKillSwitch(options: KillSwitchOptions): KillSwitch {
  if (options.mark === 0) throw new RangeError("every packet has the mark 0");
  return new LinuxKillSwitch(options);
}

class LinuxKillSwitch implements KillSwitch {
  readonly #options: KillSwitchOptions;
  readonly #socket: NetlinkSocket;
  /** Tells our table from one that another process made. */
  readonly #identity = `sluice ${Deno.pid} ${crypto.randomUUID()}`;

  constructor(options: KillSwitchOptions) {
    this.#options = options;
    this.#socket = openSocket(options.libc);
  }

  engage(policy: KillSwitchPolicy): void {
    const owned = policy.afterCrash === "go" &&
      this.#options.removal !== "journal";
    const stays = policy.afterCrash === "stay";
    const entry = {
      kind: "filter-table" as const,
      name: TABLE,
      mark: this.#identity,
    };
    this.#options.journal.record(SCOPE, stays ? [] : [entry]);
    try {
      this.#replace(policy, owned ? TABLE_OWNED : 0);
    } catch (error) {
      const oldKernel = owned && error instanceof NetlinkError &&
        error.request === "table" &&
        (error.code === EINVAL || error.code === EOPNOTSUPP);
      if (!oldKernel) throw explain(error);
      attempt(() => this.#replace(policy, 0));
    }
  }

  lift(): void {
    attempt(() => removeTable(this.#socket));
    this.#options.journal.record(SCOPE, []);
  }

  state(): KillSwitchState {
    return attempt(() => {
      const identity = tableIdentity(this.#socket);
      if (identity === undefined) return { kind: "off" };
      const rules = this.#socket.dump("NFT_MSG_GETRULE", rulesDump(TABLE));
      const dropped = rules.flatMap(ruleCounters);
      return {
        kind: "on",
        by: identity === this.#identity ? "ours" : "other",
        dropped: {
          packets: dropped.reduce((sum, { packets }) => sum + packets, 0),
          bytes: dropped.reduce((sum, { bytes }) => sum + bytes, 0),
        },
      };
    });
  }

  /** Closes the socket: a table that belongs to it goes, another one stays. */
  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }

  /** All in one batch: the old table is there until the new one is. */
  #replace(policy: KillSwitchPolicy, flags: number): void {
    const made = { name: "table", writer: this.#tableRequest(flags) };
    const { mark } = this.#options;
    const requests = [made, ...killSwitchRequests(policy, { mark })];
    try {
      const isThere = tableIdentity(this.#socket) !== undefined;
      transact(this.#socket, isThere ? [oldTable(), ...requests] : requests);
    } catch (error) {
      // It went just now, with the process that it belonged to.
      const isGone = error instanceof NetlinkError &&
        error.request === OLD_TABLE && error.code === ENOENT;
      if (!isGone) throw error;
      transact(this.#socket, requests);
    }
  }

  #tableRequest(flags: number) {
    return newTable(TABLE, { flags, userData: this.#identity });
  }
}

/**
 * Removes the table that a dead process left, if it is still that one.
 * @returns whether it was there.
 * @throws {KillSwitchError}
 */
export function removeLeftFilterTable(
  libc: Libc,
  entry: { readonly name: string; readonly mark: string },
): boolean {
  using socket = openSocket(libc);
  return attempt(() =>
    entry.name === TABLE && tableIdentity(socket) === entry.mark &&
    removeTable(socket)
  );
}

function oldTable(): NamedRequest {
  return { name: OLD_TABLE, writer: deleteTable(TABLE) };
}

/** @returns whether there was one. */
function removeTable(socket: NetlinkSocket): boolean {
  try {
    transact(socket, [oldTable()]);
    return true;
  } catch (error) {
    if (error instanceof NetlinkError && error.code === ENOENT) return false;
    throw error;
  }
}

function transact(
  socket: NetlinkSocket,
  requests: readonly NamedRequest[],
): void {
  socket.transact([
    { name: "nf_tables", writer: batchFrame(NftMessage.BatchBegin) },
    ...requests,
    { name: "nf_tables", writer: batchFrame(NftMessage.BatchEnd) },
  ]);
}

/** What the maker of the table wrote into it; undefined where there is none. */
function tableIdentity(socket: NetlinkSocket): string | undefined {
  for (const message of socket.dump("NFT_MSG_GETTABLE", tablesDump())) {
    if (message.type !== NftMessage.NewTable) continue;
    const attributes = parseAttributes(message.body, nfgenmsg.size);
    if (attributeText(attributes, TableAttribute.Name) !== TABLE) continue;
    return attributeText(attributes, TableAttribute.UserData) ?? "";
  }
  return undefined;
}

interface Counted {
  readonly packets: number;
  readonly bytes: number;
}

/** The counters of a rule; only those that drop have one. */
export function ruleCounters(message: NetlinkMessage): Counted[] {
  if (message.type !== NftMessage.NewRule) return [];
  const rule = parseAttributes(message.body, nfgenmsg.size);
  const list = rule.get(RuleAttribute.Expressions);
  if (list === undefined) return [];
  const counted: Counted[] = [];
  for (const element of elements(list)) {
    const step = parseAttributes(element, 0);
    if (attributeText(step, StepAttribute.Name) !== "counter") continue;
    const data = step.get(StepAttribute.Data);
    if (data === undefined) continue;
    const values = parseAttributes(data, 0);
    counted.push({
      packets: readU64(values.get(CounterAttribute.Packets)),
      bytes: readU64(values.get(CounterAttribute.Bytes)),
    });
  }
  return counted;
}

/** The payloads of a list's elements, which all have the same type. */
function* elements(list: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at + 4 <= list.length;) {
    const length = list[at] | list[at + 1] << 8;
    if (length < 4 || at + length > list.length) return;
    yield list.subarray(at + 4, at + length);
    at += (length + 3) & ~3;
  }
}

function readU64(bytes: Uint8Array | undefined): number {
  return bytes === undefined || bytes.length < 8
    ? 0
    : readU32be(bytes, 0) * 0x1_0000_0000 + readU32be(bytes, 4);
}

function openSocket(libc: Libc): NetlinkSocket {
  return attempt(() =>
    new NetlinkSocket(libc, { protocol: NetlinkProtocol.Netfilter })
  );
}

function attempt<T>(action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw explain(error);
  }
}

/** What to do about a refusal. */
function explain(error: unknown): unknown {
  const known = error instanceof NetlinkError || error instanceof LibcError;
  if (!known) return error;
  const problem = problemOf(error);
  const advice = ADVICE[problem];
  const text = advice === undefined
    ? error.message
    : `${advice} (${error.message})`;
  return new KillSwitchError(problem, text, { cause: error });
}

function problemOf(error: NetlinkError | LibcError): KillSwitchProblem {
  switch (error.code) {
    case EPROTONOSUPPORT:
    case EOPNOTSUPP:
    case EAFNOSUPPORT:
      return "unsupported";
    case EPERM:
      // A table that belongs to another socket may not be touched.
      return error.message.startsWith(OLD_TABLE) ? "busy" : "denied";
    case EBUSY:
      return "busy";
    case ENOENT:
      // A kind of step that was not built into this kernel.
      return "unsupported";
    default:
      return "refused";
  }
}

const ADVICE: Partial<Record<KillSwitchProblem, string>> = {
  unsupported:
    "the kill switch needs nf_tables, which this kernel lacks: load it " +
    "(modprobe nf_tables), use a kernel with CONFIG_NF_TABLES_INET, or " +
    "switch the kill switch off",
  denied: "the kill switch needs root (CAP_NET_ADMIN)",
  busy: "another sluice holds the kill switch: end it first",
};
