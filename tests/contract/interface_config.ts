/** Interface configurations from text, for tests. */
import { parsePrefix } from "../../src/core/wire/address.ts";
import type { InterfaceConfig, InterfaceRoute } from "../../src/io/ports.ts";

/** An InterfaceConfig with prefixes as text; a route may have «prefix metric». */
export interface InterfaceText {
  readonly name: string;
  readonly mtu?: number;
  readonly up?: boolean;
  readonly addresses?: readonly string[];
  readonly routes?: readonly string[];
}

/** Reads the texts. */
export function interfaceConfig(text: InterfaceText): InterfaceConfig {
  const { name, mtu = 1420, up = true, addresses = [], routes = [] } = text;
  return {
    name,
    mtu,
    up,
    addresses: addresses.map(route),
    routes: routes.map(route),
  };
}

function route(text: string): InterfaceRoute {
  const [prefixText, metric] = text.split(" ");
  const prefix = parsePrefix(prefixText);
  if (prefix === undefined) throw new TypeError(`no prefix: ${text}`);
  return {
    family: prefix.family,
    words: Int32Array.from(prefix.words),
    prefixLength: prefix.length,
    ...(metric === undefined ? {} : { metric: Number(metric) }),
  };
}
