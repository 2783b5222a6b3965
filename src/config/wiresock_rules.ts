/**
 * Rules of client.yaml that do what a WireSock file says.
 *
 * WireSock sends through the tunnel what is of its AllowedApps (or of any
 * program, where there are none) and goes to AllowedIPs, unless DisallowedApps
 * or DisallowedIPs except it; the rest goes direct. So the rules are, in order:
 * excepted networks, excepted programs, what goes through the tunnel.
 */
import { formatPrefix, type Prefix } from "../core/wire/address.ts";
import type { ItemEntry } from "./edit_client_config.ts";
import type { WgConf } from "./wg_conf.ts";
import type { WiresockParts, WiresockValue } from "./wiresock.ts";

/** Networks that are nobody's outside: RFC 1918, 3927, 4193, 4291. */
const LAN = [
  "10.0.0.0/8",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "169.254.0.0/16",
  "fc00::/7",
  "fe80::/10",
];

/**
 * The rules, in order.
 * @param options.excepted the parts' DisallowedIPs.
 * @param options.reached what the tunnel is for.
 * @param options.name the tunnel's.
 */
export function wiresockRules(
  parts: WiresockParts,
  { conf, excepted, reached, name }: {
    conf: WgConf;
    excepted: readonly Prefix[];
    reached: readonly Prefix[];
    name: string;
  },
): ItemEntry[] {
  return [
    ...exceptions(parts, excepted),
    ...ownRules(conf, { parts, reached, name }),
  ];
}

/** Rules for what goes direct although the tunnel could take it. */
function exceptions(
  { lan, disallowedApps }: WiresockParts,
  excepted: readonly Prefix[],
): ItemEntry[] {
  const networks = [
    ...excepted.map(formatPrefix),
    ...(lan === "bypass" ? LAN : []),
  ];
  const rules: ItemEntry[] = [];
  if (networks.length > 0) {
    rules.push({ destination: networks, tunnel: "direct" });
  }
  for (const programs of programConditions(disallowedApps)) {
    rules.push({ ...programs, tunnel: "direct" });
  }
  return rules;
}

/** Rules for what goes through the tunnel; none where all of it does by default. */
function ownRules(
  conf: WgConf,
  { parts, reached, name }: {
    parts: WiresockParts;
    reached: readonly Prefix[];
    name: string;
  },
): ItemEntry[] {
  if (reached.length === 0) return [];
  const all = isEverything(reached, conf);
  const destination = all ? {} : { destination: reached.map(formatPrefix) };
  if (parts.allowedApps.length > 0) {
    return programConditions(parts.allowedApps).map((programs) => ({
      ...programs,
      ...destination,
      tunnel: name,
    }));
  }
  return all ? [] : [{ ...destination, tunnel: name }];
}

/**
 * Conditions on programs, one for each kind: a name alone, with the ending that
 * Windows gives it or without; a folder; a path.
 */
function programConditions(values: readonly WiresockValue[]): ItemEntry[] {
  const texts = values.map(({ text }) => text.replaceAll('"', "").trim())
    .filter((text) => /[^/\\]/.test(text));
  const names = texts.filter((text) => !/[/\\]/.test(text));
  const paths = texts.filter((text) => /[/\\]/.test(text));
  const isFolder = (text: string) =>
    /[/\\]$/.test(text) ||
    (!text.startsWith("/") && !/\.(?:exe|com|scr|bat|cmd)$/i.test(text));
  const folders = paths.filter(isFolder);
  const whole = folders.filter(isAbsolute);
  const patterns = [
    ...folders.filter((text) => !isAbsolute(text)).map((text) =>
      `**/${text.replace(/^[/\\]+|[/\\]+$/g, "")}/**`
    ),
    ...paths.filter((text) => !isFolder(text)).map((text) =>
      isAbsolute(text) ? text : `**/${text.replace(/^[/\\]+/, "")}`
    ),
  ];
  const conditions: ItemEntry[] = [];
  if (names.length > 0) {
    conditions.push({ process: names.flatMap(nameForms) });
  }
  if (whole.length > 0) conditions.push({ directory: whole });
  if (patterns.length > 0) conditions.push({ path: patterns });
  return conditions;
}

function nameForms(name: string): string[] {
  return /\.[A-Za-z]{1,4}$/.test(name) ? [name] : [name, `${name}.exe`];
}

function isAbsolute(path: string): boolean {
  return /^(?:[A-Za-z]:[/\\]|\/|\\\\)/.test(path);
}

/** Whether all goes through: of IPv6 all that the tunnel could carry. */
export function isEverything(
  reached: readonly Prefix[],
  { interface: own }: WgConf,
): boolean {
  const has = (family: 4 | 6) =>
    reached.some((prefix) => prefix.family === family && prefix.length === 0);
  const ipv6 = own.addresses.some(({ family }) => family === 6);
  return has(4) && (has(6) || !ipv6);
}
