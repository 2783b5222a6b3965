/**
 * Rules about forward.tcpProxy: its prefixes are large enough, one for each
 * family, and no addresses of the gateway or its peers.
 */
import { formatPrefix } from "../core/wire/address.ts";
import {
  addressBits,
  networkOf,
  overlaps,
  readInterfaceAddress,
  readPrefix,
} from "./prefix.ts";
import {
  listAt,
  type PlacedPrefix,
  readPrefixes,
  ruleError,
  type RuleProblem,
  valueAt,
} from "./raw_document.ts";

/** Where nothing else is said: of RFC 2544's test networks, and a unique local one. */
export const DEFAULT_PROXY_PREFIXES: readonly string[] = [
  "198.18.254.0/24",
  "fd73:6c75:6963:6500::/120",
];

/** Bits of the addresses that the proxy needs: its own and 64 beside it. */
const NEEDED_BITS = 7;

const SECTION = ["forward", "tcpProxy"];

/** Finds what is wrong, where TCP goes by proxy. */
export function checkTcpProxy(raw: unknown, problems: RuleProblem[]): void {
  const tcp = valueAt(raw, ["forward", "tcp"]);
  if (tcp !== undefined && tcp !== "proxy") return;
  checkCounts(raw, problems);
  const path = [...SECTION, "prefixes"];
  const written = readPrefixes(raw, path, readPrefix);
  const isDefault = valueAt(raw, path) === undefined;
  const prefixes: readonly PlacedPrefix[] = isDefault
    ? DEFAULT_PROXY_PREFIXES.map((text) => ({
      prefix: readPrefix(text)!,
      path,
    }))
    : written;
  for (const [i, placed] of prefixes.entries()) {
    const { prefix, path: at } = placed;
    const least = addressBits(prefix.family) - NEEDED_BITS;
    if (prefix.length > least) {
      problems.push(ruleError(
        at,
        `the prefix /${prefix.length} is too small; /${least} or shorter will do`,
      ));
    }
    const isSecond = prefixes.slice(0, i).some(({ prefix: other }) =>
      other.family === prefix.family
    );
    if (isSecond) {
      problems.push(
        ruleError(at, `is a second IPv${prefix.family} prefix; one will do`),
      );
    }
    checkOverlaps(raw, placed, { isDefault, problems });
  }
}

function checkOverlaps(
  raw: unknown,
  { prefix, path }: PlacedPrefix,
  { isDefault, problems }: { isDefault: boolean; problems: RuleProblem[] },
): void {
  const network = formatPrefix(networkOf(prefix));
  for (const other of tunnelPrefixes(raw)) {
    // A default route leads everywhere.
    if (other.prefix.length === 0 || !overlaps(prefix, other.prefix)) continue;
    problems.push(
      isDefault
        ? ruleError(
          other.path,
          `overlaps ${network}, which tcp: proxy uses; set other forward.tcpProxy.prefixes`,
        )
        : ruleError(
          path,
          `overlaps ${formatPrefix(networkOf(other.prefix))} of the tunnel`,
        ),
    );
  }
}

/** The prefixes of gateway and peers. */
function tunnelPrefixes(raw: unknown): PlacedPrefix[] {
  const own = readPrefixes(
    raw,
    ["interface", "addresses"],
    readInterfaceAddress,
  );
  const peers = listAt(raw, ["peers"]).flatMap((_, i) =>
    ["addresses", "allowedIps"].flatMap((key) =>
      readPrefixes(raw, ["peers", i, key], readPrefix)
    )
  );
  return [...own, ...peers];
}

function checkCounts(raw: unknown, problems: RuleProblem[]): void {
  const all = valueAt(raw, [...SECTION, "maxConnections"]);
  const each = valueAt(raw, [...SECTION, "maxConnectionsPerPeer"]);
  if (typeof all === "number" && typeof each === "number" && each > all) {
    problems.push(ruleError(
      [...SECTION, "maxConnectionsPerPeer"],
      `can't be more than maxConnections (${all})`,
    ));
  }
}
