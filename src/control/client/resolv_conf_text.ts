/**
 * The text of /etc/resolv.conf (resolv.conf(5)), as far as one that names other
 * resolvers is made from it.
 *
 *     nameserver ADDRESS     three of them at most are asked
 *     search DOMAIN...       and domain, options, sortlist: kept as they are
 */
import { formatAddress, parseAddress } from "../../core/wire/address.ts";

/** Begins every text that is made here. */
export const RESOLV_CONF_MARK = "# Made by sluice client.";

const KEPT = /^(?:search|domain|options|sortlist)\s/;
const NAMESERVER = /^nameserver\s+(\S+)/;

/** The resolvers that a text names, four address words each; those with a zone are left out. */
export function readNameservers(text: string): Int32Array[] {
  return text.split("\n").flatMap((line) => {
    const words = parseAddress(NAMESERVER.exec(line)?.[1] ?? "");
    return words === undefined ? [] : [Int32Array.from(words)];
  });
}

/** The text with other resolvers; the rest of what libc goes by stays. */
export function formatResolvConf(
  original: string,
  nameservers: readonly Int32Array[],
): string {
  const lines = [
    RESOLV_CONF_MARK,
    "# Questions follow the program that asks; what was here comes back at its end.",
    ...nameservers.map((words) => `nameserver ${formatAddress(words)}`),
    ...original.split("\n").filter((line) => KEPT.test(line)),
  ];
  return `${lines.join("\n")}\n`;
}

/** Whether an address is this host itself: 127.0.0.0/8, ::1. */
export function isLoopback(words: Int32Array): boolean {
  const text = formatAddress(words);
  return text === "::1" || text.startsWith("127.");
}
