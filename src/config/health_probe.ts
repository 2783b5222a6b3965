/** What is sent through a tunnel to see whether it carries, as client.yaml says it. */
import { parseAddress } from "../core/wire/address.ts";
import type { DnsUpstream } from "./checked_values.ts";
import type { PlacedTunnel } from "./client_tunnels.ts";
import { type HostPort, isHostName, parseHostPort } from "./endpoint.ts";
import { ruleError, type RuleProblem, valueAt } from "./raw_document.ts";

/** What is sent. */
export type HealthProbeConfig =
  /** A handshake, or the proxy's greeting. */
  | { readonly kind: "own" }
  /** An ICMP echo to address words. */
  | { readonly kind: "ping"; readonly words: Uint32Array }
  /** A question for a name, to a resolver of the tunnel. */
  | {
    readonly kind: "dns";
    readonly server: DnsUpstream;
    readonly name: string;
  }
  /** A TCP connection. */
  | { readonly kind: "connect"; readonly target: HostPort };

/** A probe, or what is wrong with the key of the section. */
export type HealthProbeReading =
  | { readonly probe: HealthProbeConfig }
  | {
    readonly probe: undefined;
    readonly key: "probe" | "target";
    readonly message: string;
  };

/** Asked for where nothing else is said: it is always there. */
const ANY_NAME = "example.com";

/** Finds what is wrong in the sections `health` of the tunnels. */
export function checkHealth(
  raw: unknown,
  tunnels: readonly PlacedTunnel[],
  problems: RuleProblem[],
): void {
  for (const tunnel of tunnels) {
    const path = ["tunnels", tunnel.index, "health"];
    const section = valueAt(raw, path);
    const textAt = (key: string) => {
      const value = valueAt(section, [key]);
      return typeof value === "string" ? value : undefined;
    };
    const keys = { probe: textAt("probe"), target: textAt("target") };
    const reading = readHealthProbe(keys, tunnel);
    if (reading.probe === undefined) {
      problems.push(ruleError([...path, reading.key], reading.message));
    }
    const degraded = valueAt(section, ["degradedAfter"]);
    const down = valueAt(section, ["downAfter"]);
    if (
      typeof degraded === "number" && typeof down === "number" &&
      degraded > down
    ) {
      problems.push(ruleError(
        [...path, "degradedAfter"],
        `can't be more than downAfter (${down})`,
      ));
    }
  }
}

/** Reads the keys `probe` and `target` of a tunnel's section `health`. */
export function readHealthProbe(
  { probe = "auto", target }: { probe?: string; target?: string },
  { way, resolvers }: Pick<PlacedTunnel, "way" | "resolvers">,
): HealthProbeReading {
  const resolver = resolvers.at(0);
  const kind = probe !== "auto"
    ? probe
    : target !== undefined
    ? "connect"
    : resolver === undefined
    ? "own"
    : "dns";
  switch (kind) {
    case "ping": {
      if (way.kind === "proxy") {
        return wrong("probe", "a proxy carries no pings");
      }
      const words = target === undefined ? undefined : parseAddress(target);
      return words === undefined
        ? wrong("target", "must be an address to ping, such as 10.66.0.1")
        : { probe: { kind, words } };
    }
    case "connect": {
      const place = target === undefined ? undefined : parseHostPort(target);
      return place === undefined
        ? wrong(
          "target",
          "must be HOST:PORT to connect to, such as 1.1.1.1:443",
        )
        : { probe: { kind, target: place } };
    }
    case "dns": {
      if (resolver === undefined) {
        return wrong("probe", "needs a resolver: write one under dns");
      }
      const name = target ?? ANY_NAME;
      return isHostName(name)
        ? { probe: { kind, server: resolver, name } }
        : wrong("target", "must be a name to ask for, such as example.com");
    }
    default:
      return target === undefined
        ? { probe: { kind: "own" } }
        : wrong("target", "is not used by own");
  }
}

function wrong(key: "probe" | "target", message: string): HealthProbeReading {
  return { probe: undefined, key, message };
}
