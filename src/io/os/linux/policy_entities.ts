/**
 * Routing rules and the routes of a table of our own as rtnetlink messages.
 * Source: linux/fib_rules.h, net/core/fib_rules.c, linux/rtnetlink.h.
 */
import { fibRuleHdr, rtmsg } from "../../../../ffi/linux_layouts.ts";
import { readU32le } from "../../../core/wire/bytes.ts";
import type { RoutingRule, TableRoute } from "../../ports.ts";
import {
  addressBytes,
  familyOf,
  ROUTE_PROTOCOL,
  systemFamily,
  unspecified,
  wordsOf,
} from "./netlink_entities.ts";
import {
  attributeU32,
  type NetlinkMessage,
  parseAttributes,
  RequestWriter,
} from "./netlink_message.ts";

/** Message types of rules and routes. */
export const PolicyMessage = {
  NewRoute: 24,
  DeleteRoute: 25,
  GetRoute: 26,
  NewRule: 32,
  DeleteRule: 33,
  GetRule: 34,
} as const;

const FRA_PRIORITY = 6;
const FRA_FWMARK = 10;
const FRA_SUPPRESS_PREFIXLEN = 14;
const FRA_TABLE = 15;
const FRA_FWMASK = 16;
const FRA_PROTOCOL = 21;
const FR_ACT_TO_TBL = 1;
const FIB_RULE_INVERT = 0x2;

const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_TABLE = 15;
const RTN_UNICAST = 1;
const RTN_UNREACHABLE = 7;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;
const RT_SCOPE_NOWHERE = 255;
const RT_TABLE_MAIN = 254;

const ALL_ONES = 0xffff_ffff;

/** A rule as the kernel has it. */
export interface PresentRule extends RoutingRule {
  /** Who added it; {@linkcode ROUTE_PROTOCOL} for our own. */
  readonly protocol: number;
}

/** A route of some table as the kernel has it. */
export interface PresentTableRoute extends TableRoute {
  readonly table: number;
  readonly protocol: number;
}

/** The table's number. */
export function tableNumber(table: number | "main"): number {
  return table === "main" ? RT_TABLE_MAIN : table;
}

/** A request to add or remove a rule of ours. */
export function ruleRequest(
  type: typeof PolicyMessage.NewRule | typeof PolicyMessage.DeleteRule,
  rule: RoutingRule,
  flags: number,
): RequestWriter {
  const { mark, suppressPrefixLength } = rule;
  const writer = new RequestWriter(type, flags, fibRuleHdr.size)
    .u8(fibRuleHdr.at.family, systemFamily(rule.family))
    .u8(fibRuleHdr.at.action, FR_ACT_TO_TBL)
    .u32(fibRuleHdr.at.flags, mark?.except === true ? FIB_RULE_INVERT : 0)
    .attributeU32(FRA_PRIORITY, rule.priority)
    .attributeU32(FRA_TABLE, tableNumber(rule.table))
    .attribute(FRA_PROTOCOL, Uint8Array.of(ROUTE_PROTOCOL));
  if (mark !== undefined) {
    writer.attributeU32(FRA_FWMARK, mark.value)
      .attributeU32(FRA_FWMASK, mark.mask ?? ALL_ONES);
  }
  if (suppressPrefixLength !== undefined) {
    writer.attributeU32(FRA_SUPPRESS_PREFIXLEN, suppressPrefixLength);
  }
  return writer;
}

/** A request for all rules of both families. */
export function ruleDump(flags: number): RequestWriter {
  return new RequestWriter(PolicyMessage.GetRule, flags, fibRuleHdr.size);
}

/** Reads a rule that leads to a table; undefined for another message or rule. */
export function parseRule(message: NetlinkMessage): PresentRule | undefined {
  const { body } = message;
  const isRule = message.type === PolicyMessage.NewRule &&
    body.length >= fibRuleHdr.size &&
    body[fibRuleHdr.at.action] === FR_ACT_TO_TBL;
  if (!isRule) return undefined;
  const family = familyOf(body[fibRuleHdr.at.family]);
  if (family === undefined) return undefined;
  const attributes = parseAttributes(body, fibRuleHdr.size);
  const table = attributeU32(attributes, FRA_TABLE) ??
    body[fibRuleHdr.at.table];
  const value = attributeU32(attributes, FRA_FWMARK);
  const except = (readU32le(body, fibRuleHdr.at.flags) & FIB_RULE_INVERT) !== 0;
  const mask = attributeU32(attributes, FRA_FWMASK) ?? ALL_ONES;
  const suppressed = attributeU32(attributes, FRA_SUPPRESS_PREFIXLEN);
  return {
    family,
    priority: attributeU32(attributes, FRA_PRIORITY) ?? 0,
    table: table === RT_TABLE_MAIN ? "main" : table,
    // The kernel tells an unset one as -1.
    ...(suppressed === undefined || suppressed === ALL_ONES
      ? {}
      : { suppressPrefixLength: suppressed }),
    ...(value === undefined ? {} : { mark: { value, mask, except } }),
    protocol: attributes.get(FRA_PROTOCOL)?.[0] ?? 0,
  };
}

/** Whether two rules send the same packets to the same table. */
export function sameRule(a: RoutingRule, b: RoutingRule): boolean {
  return a.family === b.family && a.priority === b.priority &&
    a.table === b.table && a.suppressPrefixLength === b.suppressPrefixLength &&
    a.mark?.value === b.mark?.value &&
    (a.mark?.mask ?? ALL_ONES) === (b.mark?.mask ?? ALL_ONES) &&
    (a.mark?.except ?? false) === (b.mark?.except ?? false);
}

/** A request to set or remove a route of ours in a table. */
export function tableRouteRequest(
  type: typeof PolicyMessage.NewRoute | typeof PolicyMessage.DeleteRoute,
  route: TableRoute & { readonly table: number },
  flags: number,
): RequestWriter {
  const { family, way } = route;
  const through = way.kind === "interface";
  const onLink = family === 4 && through && way.gateway === undefined;
  const scope = onLink ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  const writer = new RequestWriter(type, flags, rtmsg.size)
    .u8(rtmsg.at.rtm_family, systemFamily(family))
    .u8(rtmsg.at.rtm_dst_len, route.prefixLength)
    .u8(rtmsg.at.rtm_protocol, ROUTE_PROTOCOL)
    .u8(
      rtmsg.at.rtm_scope,
      type === PolicyMessage.DeleteRoute ? RT_SCOPE_NOWHERE : scope,
    )
    .u8(rtmsg.at.rtm_type, through ? RTN_UNICAST : RTN_UNREACHABLE)
    .attributeU32(RTA_TABLE, route.table);
  if (route.prefixLength > 0) {
    writer.attribute(RTA_DST, addressBytes(route.words, family));
  }
  if (through) writer.attributeU32(RTA_OIF, way.index);
  if (through && way.gateway !== undefined) {
    writer.attribute(RTA_GATEWAY, addressBytes(way.gateway, family));
  }
  if (route.metric !== undefined) {
    writer.attributeU32(RTA_PRIORITY, route.metric);
  }
  return writer;
}

/** Reads a route of any table; undefined for another message or kind of route. */
export function parseTableRoute(
  message: NetlinkMessage,
): PresentTableRoute | undefined {
  const { body } = message;
  if (message.type !== PolicyMessage.NewRoute || body.length < rtmsg.size) {
    return undefined;
  }
  const family = familyOf(body[rtmsg.at.rtm_family]);
  const type = body[rtmsg.at.rtm_type];
  const known = type === RTN_UNICAST || type === RTN_UNREACHABLE;
  if (family === undefined || !known) return undefined;
  const attributes = parseAttributes(body, rtmsg.size);
  const words = wordsOf(attributes.get(RTA_DST), family) ?? unspecified(family);
  const gateway = wordsOf(attributes.get(RTA_GATEWAY), family);
  const index = attributeU32(attributes, RTA_OIF) ?? 0;
  return {
    family,
    words,
    prefixLength: body[rtmsg.at.rtm_dst_len],
    table: attributeU32(attributes, RTA_TABLE) ?? body[rtmsg.at.rtm_table],
    metric: attributeU32(attributes, RTA_PRIORITY),
    protocol: body[rtmsg.at.rtm_protocol],
    way: type === RTN_UNREACHABLE
      ? { kind: "unreachable" }
      : { kind: "interface", index, ...(gateway && { gateway }) },
  };
}
