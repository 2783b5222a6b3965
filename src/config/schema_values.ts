/**
 * Values that configuration files have in common: their forms, and what is said
 * where they have another.
 */
import { z } from "zod";
import { parseIpv4 } from "../core/wire/address.ts";
import { DURATION_PATTERN, parseDuration } from "./duration.ts";
import { parseHostPort } from "./endpoint.ts";
import { KEY_PATTERN } from "./keys.ts";
import { readPrefix } from "./prefix.ts";

const INTERFACE_NAME_PATTERN = /^(?!\.{1,2}$)[A-Za-z0-9_=+.-]{1,15}$/;

const DURATION_HELP =
  "not a duration: write 90s, 5m, 1h30m, 500ms, or a number of seconds";
const KEY_HELP =
  "not a WireGuard key: it must be 32 bytes in base64 (44 characters that end in =)";

/** A duration: text such as 90s, or a number of seconds. */
export function duration(
  description: string,
): z.ZodUnion<readonly [z.ZodNumber, z.ZodString]> {
  return z.union([
    z.number({ error: DURATION_HELP }).min(0, DURATION_HELP),
    z.string({ error: DURATION_HELP }).regex(DURATION_PATTERN, DURATION_HELP)
      .refine((text) => parseDuration(text) !== undefined, DURATION_HELP),
  ], { error: DURATION_HELP }).meta({ description });
}

/** A WireGuard key; `help` says where one comes from. */
export function key(description: string, help: string): z.ZodString {
  return z.string().regex(KEY_PATTERN, `${KEY_HELP}; ${help}`).meta({
    description,
  });
}

/** A whole number within bounds. */
export function count(
  minimum: number,
  maximum: number,
  description: string,
): z.ZodInt {
  return z.int().min(minimum).max(maximum).meta({ description });
}

/** An address or prefix. */
export const prefixText: z.ZodString = z.string().refine(
  (text) => readPrefix(text) !== undefined,
  "not an address or prefix: write 10.66.0.2/32 or fd00::2/128",
);

/** HOST:PORT. */
export const endpointText: z.ZodString = z.string().refine(
  (text) => parseHostPort(text) !== undefined,
  "not an endpoint: write HOST:PORT, such as 203.0.113.9:51820 or [2001:db8::9]:51820",
);

/** The address of a DNS server, with or without a port. */
export const dnsServerText: z.ZodString = z.string().refine(
  (text) => isAddress(parseHostPort(text, 53)?.host ?? ""),
  "not a DNS server's address: write 1.1.1.1, 9.9.9.9:53 or [2620:fe::fe]:53",
);

/** The name of a network interface. */
export const interfaceNameText: z.ZodString = z.string().regex(
  INTERFACE_NAME_PATTERN,
  "not an interface name: 1 to 15 letters, digits or any of _ = + . -",
);

/** How much is logged. */
export const logLevel = z.enum(["error", "warning", "info", "debug", "trace"]);

/** Which implementation seals packets. */
export const cryptoProvider = z.enum([
  "auto",
  "wasm",
  "libcrypto",
  "bcrypt",
  "noble",
]).default("auto").meta({
  description:
    "Which implementation seals packets; auto takes the fastest that passes its self-test.",
});

function isAddress(host: string): boolean {
  return host.includes(":") || parseIpv4(host) !== undefined;
}
