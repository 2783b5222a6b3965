/**
 * AmneziaWG's parameters as people write them: the `amnezia` section of
 * a YAML file (jc, s1, h1, ...) and the keys of a `.conf` file (Jc, S1, H1,
 * ...). What they mean and their limits: core/wireguard/amnezia.
 */
import type { z } from "zod";
import {
  type AmneziaParameter,
  type AmneziaParameters,
  formatHeaderRange,
  type HeaderRange,
  parseHeaderRange,
  PLAIN_WIREGUARD,
  validateAmnezia,
} from "../core/wireguard/amnezia.ts";
import type { amneziaSchema } from "./amnezia_schema.ts";

/** The section of server.yaml; every key may be missing. */
export type AmneziaDocument = z.output<typeof amneziaSchema>;
/** A parameter's name in server.yaml. */
export type AmneziaKey = keyof AmneziaDocument;

/** A broken limit at a key. */
export interface AmneziaProblem {
  readonly key: AmneziaKey;
  readonly message: string;
}

/** Every parameter by the name of `.conf` files, in the order of files. */
export const AMNEZIA_PARAMETERS = Object.keys(
  PLAIN_WIREGUARD,
) as readonly AmneziaParameter[];

const DEFAULT_MTU = 1420;

/** A parameter's name in server.yaml: `Jc` is `jc`. */
export function amneziaKey(parameter: AmneziaParameter): AmneziaKey {
  return parameter.toLowerCase() as AmneziaKey;
}

/**
 * All parameters of a section, malformed and missing ones as in plain WireGuard.
 */
export function amneziaParameters(section: object): AmneziaParameters {
  const parameters: Record<string, number | string | HeaderRange> = {
    ...PLAIN_WIREGUARD,
  };
  for (const name of AMNEZIA_PARAMETERS) {
    const value: unknown =
      (section as Record<string, unknown>)[amneziaKey(name)];
    const plain = PLAIN_WIREGUARD[name];
    if (typeof plain === "object") {
      const text = typeof value === "number" ? String(value) : value;
      const range = typeof text === "string"
        ? parseHeaderRange(text)
        : undefined;
      parameters[name] = range ?? plain;
    } else if (typeof value === typeof plain) {
      parameters[name] = value as typeof plain;
    }
  }
  return parameters as unknown as AmneziaParameters;
}

/**
 * Every broken limit of an unchecked section; malformed values are skipped,
 * for the schema names them.
 * @param mtu of the tunnel in bytes, where it is known.
 */
export function amneziaProblems(
  raw: unknown,
  mtu: number = DEFAULT_MTU,
): AmneziaProblem[] {
  if (typeof raw !== "object" || raw === null) return [];
  return validateAmnezia(amneziaParameters(raw), { mtu })
    .map(({ parameter, message }) => ({ key: amneziaKey(parameter), message }));
}

/** The parameters that differ from plain WireGuard, each with its text. */
export function amneziaEntries(
  parameters: AmneziaParameters,
): [parameter: AmneziaParameter, text: string][] {
  return AMNEZIA_PARAMETERS.map((name): [AmneziaParameter, string] => [
    name,
    valueText(parameters[name]),
  ]).filter(([name, text]) => text !== valueText(PLAIN_WIREGUARD[name]));
}

function valueText(value: number | string | HeaderRange): string {
  return typeof value === "object" ? formatHeaderRange(value) : String(value);
}
