/**
 * nf_tables by netlink: tables, chains, rules and the steps that rules are made
 * of. Source: linux/netfilter/nf_tables.h, nfnetlink.h, nft_*.c of the kernel;
 * `nft --debug=mnl` shows the same messages.
 *
 *     BATCH_BEGIN | NEWTABLE | DELTABLE | NEWTABLE | NEWCHAIN | NEWRULE... | BATCH_END
 *
 * All of a batch comes into force at once, or none. A rule is a list of steps
 * over registers: load a field, mask it, compare it (the rule ends where that
 * fails), give a verdict. Integers of attributes are in network order, values
 * in registers as the field has them.
 */
import { nfgenmsg, nlattr } from "../../../../ffi/linux_layouts.ts";
import {
  writeU16be,
  writeU16le,
  writeU32be,
  writeU32le,
} from "../../../core/wire/bytes.ts";
import { Flag, RequestWriter } from "./netlink_message.ts";

const NFNL_SUBSYS_NFTABLES = 10;
const NFPROTO_INET = 1;
const NLA_F_NESTED = 0x8000;

/** Message types: those of the batch itself, and those of nf_tables. */
export const NftMessage = {
  BatchBegin: 0x10,
  BatchEnd: 0x11,
  NewTable: NFNL_SUBSYS_NFTABLES << 8 | 0,
  GetTable: NFNL_SUBSYS_NFTABLES << 8 | 1,
  DeleteTable: NFNL_SUBSYS_NFTABLES << 8 | 2,
  NewChain: NFNL_SUBSYS_NFTABLES << 8 | 3,
  NewRule: NFNL_SUBSYS_NFTABLES << 8 | 6,
  GetRule: NFNL_SUBSYS_NFTABLES << 8 | 7,
} as const;

/** Attributes of tables. */
export const TableAttribute = { Name: 1, Flags: 2, UserData: 6 } as const;
/** The table goes when the socket that made it is closed (Linux 5.12). */
export const TABLE_OWNED = 2;
/** Attributes of chains. */
const ChainAttribute = { Table: 1, Name: 3, Hook: 4, Policy: 5, Type: 7 };
const HookAttribute = { Number: 1, Priority: 2 };
/** Attributes of rules. */
export const RuleAttribute = { Table: 1, Chain: 2, Expressions: 4 } as const;
/** Attributes of an element of a list, of a step, and of a counter. */
export const ListAttribute = { Element: 1 } as const;
export const StepAttribute = { Name: 1, Data: 2 } as const;
export const CounterAttribute = { Bytes: 1, Packets: 2 } as const;

/** Where a chain looks at packets. */
export const Hook = { Forward: 2, Output: 3 } as const;
/** What happens to a packet. */
export const NftVerdict = { Drop: 0, Accept: 1 } as const;

const REGISTER = 1;
const DataAttribute = { Value: 1, Verdict: 2 };
const VERDICT_CODE = 1;
const CMP_EQUAL = 0;
const CMP_NOT_EQUAL = 1;

/** What of a packet's circumstances is loaded. */
export const Meta = {
  Mark: 3,
  InputInterface: 6,
  OutputInterface: 7,
  Family: 15,
  Protocol: 16,
} as const;
/** What of a packet's connection is loaded. */
export const Connection = { State: 0, Direction: 1, Mark: 3 } as const;
/** Routes of packets whose mark a chain has changed are looked up anew. */
export type ChainType = "filter" | "route";
/** Where a packet's bytes are counted from. */
export const PayloadBase = { Network: 1, Transport: 2 } as const;

/** Families as {@linkcode Meta.Family} has them. */
export const NftFamily = { Ipv4: 2, Ipv6: 10 } as const;

/** One step of a rule, as an attribute's bytes. */
export type Step = Uint8Array;

/** A number as attributes have it. */
export function be32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  writeU32be(bytes, 0, value);
  return bytes;
}

/** Loads a circumstance; see {@linkcode Meta}. */
export function loadMeta(key: number): Step {
  return step("meta", [[2, be32(key)], [1, be32(REGISTER)]]);
}

/** Loads a property of the connection; see {@linkcode Connection}. */
export function loadConnection(key: number): Step {
  return step("ct", [[2, be32(key)], [1, be32(REGISTER)]]);
}

/** Marks the packet; see {@linkcode ChainType} for where that may lead it. */
export function setMark(value: number): Step[] {
  return [
    loadValue(native32(value)),
    step("meta", [[2, be32(Meta.Mark)], [3, be32(REGISTER)]]),
  ];
}

/** Marks the packet's connection. */
export function setConnectionMark(value: number): Step[] {
  return [
    loadValue(native32(value)),
    step("ct", [[2, be32(Connection.Mark)], [4, be32(REGISTER)]]),
  ];
}

function loadValue(value: Uint8Array): Step {
  return step("immediate", [[1, be32(REGISTER)], [2, data(value), "nested"]]);
}

/** Loads bytes of the packet; see {@linkcode PayloadBase}. */
export function loadPayload(base: number, at: number, length: number): Step {
  return step("payload", [
    [1, be32(REGISTER)],
    [2, be32(base)],
    [3, be32(at)],
    [4, be32(length)],
  ]);
}

/** Ands what is loaded with a mask. */
export function mask(bits: Uint8Array): Step {
  return step("bitwise", [
    [1, be32(REGISTER)],
    [2, be32(REGISTER)],
    [3, be32(bits.length)],
    [4, data(bits), "nested"],
    [5, data(new Uint8Array(bits.length)), "nested"],
  ]);
}

/** Goes on where what is loaded is that. */
export function equals(value: Uint8Array): Step {
  return compare(CMP_EQUAL, value);
}

/** Goes on where what is loaded is not that. */
export function differs(value: Uint8Array): Step {
  return compare(CMP_NOT_EQUAL, value);
}

/** Counts packets and bytes. */
export function count(): Step {
  return step("counter", []);
}

/** Ends with a verdict; see {@linkcode NftVerdict}. */
export function verdict(code: number): Step {
  const value = nested(DataAttribute.Verdict, [[VERDICT_CODE, be32(code)]]);
  return step("immediate", [[1, be32(0)], [2, value, "nested"]]);
}

/** An interface's name as a register holds it. */
export function interfaceName(name: string): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes.set(new TextEncoder().encode(name).subarray(0, 15));
  return bytes;
}

/** A number as the host's order has it: marks, states. */
export function native32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  writeU32le(bytes, 0, value);
  return bytes;
}

/** The frame of a batch. */
export function batchFrame(
  type: typeof NftMessage.BatchBegin | typeof NftMessage.BatchEnd,
): RequestWriter {
  return message(type, { flags: Flag.Request, resource: NFNL_SUBSYS_NFTABLES });
}

/** Makes a table, or leaves one of that name as it is. */
export function newTable(
  name: string,
  options: { readonly flags: number; readonly userData: string },
): RequestWriter {
  return message(NftMessage.NewTable, { flags: CHANGE | Flag.Create })
    .attribute(TableAttribute.Name, text(name))
    .attribute(TableAttribute.Flags, be32(options.flags))
    .attribute(TableAttribute.UserData, text(options.userData));
}

/** Removes a table with all that is in it. */
export function deleteTable(name: string): RequestWriter {
  return message(NftMessage.DeleteTable, { flags: CHANGE })
    .attribute(TableAttribute.Name, text(name));
}

/** Asks for all tables of the family. */
export function tablesDump(): RequestWriter {
  return message(NftMessage.GetTable, { flags: Flag.Request | Flag.Dump });
}

/** Makes a chain. */
export function newChain(
  table: string,
  chain: {
    readonly name: string;
    readonly hook: number;
    readonly priority: number;
    readonly type: ChainType;
    /** For what none of its rules takes; see {@linkcode NftVerdict}. */
    readonly policy: number;
  },
): RequestWriter {
  const hook = attributes([
    [HookAttribute.Number, be32(chain.hook)],
    [HookAttribute.Priority, be32(chain.priority)],
  ]);
  return message(NftMessage.NewChain, { flags: CHANGE | Flag.Create })
    .attribute(ChainAttribute.Table, text(table))
    .attribute(ChainAttribute.Name, text(chain.name))
    .attribute(ChainAttribute.Type, text(chain.type))
    .attribute(ChainAttribute.Policy, be32(chain.policy))
    .attribute(ChainAttribute.Hook | NLA_F_NESTED, hook);
}

/** Adds a rule at a chain's end. */
export function newRule(
  table: string,
  chain: string,
  steps: readonly Step[],
): RequestWriter {
  const list = attributes(
    steps.map((bytes) => [ListAttribute.Element, bytes, "nested"]),
  );
  // 0x800: at the end.
  return message(NftMessage.NewRule, { flags: CHANGE | Flag.Create | 0x800 })
    .attribute(RuleAttribute.Table, text(table))
    .attribute(RuleAttribute.Chain, text(chain))
    .attribute(RuleAttribute.Expressions | NLA_F_NESTED, list);
}

/** Asks for the rules of a table. */
export function rulesDump(table: string): RequestWriter {
  return message(NftMessage.GetRule, { flags: Flag.Request | Flag.Dump })
    .attribute(RuleAttribute.Table, text(table));
}

const CHANGE = Flag.Request | Flag.Acknowledge;

type Attribute = readonly [type: number, payload: Uint8Array, kind?: "nested"];

function message(
  type: number,
  options: { readonly flags: number; readonly resource?: number },
): RequestWriter {
  const { flags, resource } = options;
  const family = resource === undefined ? NFPROTO_INET : 0;
  return new RequestWriter(type, flags, nfgenmsg.size)
    .u8(nfgenmsg.at.nfgen_family, family)
    .u8(nfgenmsg.at.res_id + 1, resource ?? 0);
}

function step(name: string, list: readonly Attribute[]): Step {
  return attributes([
    [StepAttribute.Name, text(name)],
    [StepAttribute.Data, attributes(list), "nested"],
  ]);
}

function compare(operation: number, value: Uint8Array): Step {
  return step("cmp", [
    [1, be32(REGISTER)],
    [2, be32(operation)],
    [3, data(value), "nested"],
  ]);
}

function data(value: Uint8Array): Uint8Array {
  return attributes([[DataAttribute.Value, value]]);
}

function nested(type: number, list: readonly Attribute[]): Uint8Array {
  return attributes([[type, attributes(list), "nested"]]);
}

/** Attributes one after the other, each padded to 4. */
function attributes(list: readonly Attribute[]): Uint8Array {
  const padded = (payload: Uint8Array) =>
    nlattr.size + ((payload.length + 3) & ~3);
  const bytes = new Uint8Array(
    list.reduce((sum, [, payload]) => sum + padded(payload), 0),
  );
  let at = 0;
  for (const [type, payload, kind] of list) {
    const flags = kind === "nested" ? NLA_F_NESTED : 0;
    writeU16le(bytes, at + nlattr.at.nla_len, nlattr.size + payload.length);
    writeU16le(bytes, at + nlattr.at.nla_type, type | flags);
    bytes.set(payload, at + nlattr.size);
    at += padded(payload);
  }
  return bytes;
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(`${value}\0`);
}

/** A port as a register holds it. */
export function port(value: number): Uint8Array {
  const bytes = new Uint8Array(2);
  writeU16be(bytes, 0, value);
  return bytes;
}
