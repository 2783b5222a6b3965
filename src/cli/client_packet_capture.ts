/**
 * How the host's packets come to a client: captured on their way where the system
 * has a driver for that and the configuration lets it, else by an interface.
 *
 *     auto      captured, where the driver is there
 *     ndis      captured, or no start
 *     wintun    by an interface
 *
 * While packets are captured the engine itself is the kill switch: nothing goes
 * on that no rule has let through. When the client dies the driver lets all go
 * again, so a kill switch that persists needs an interface.
 */
import type { ClientConfig } from "../config/client_config.ts";
import type { SystemResolversOptions } from "../control/client/system_resolvers.ts";
import type { Platform } from "../io/platform.ts";
import {
  type AllowedNetwork,
  CaptureError,
  type CaptureEvents,
  type Journal,
  type OpenedCapture,
  type PassRule,
} from "../io/ports.ts";
import { UserError } from "./errors.ts";

/** What opening a capture works with. */
export interface PacketCaptureOptions extends CaptureEvents {
  readonly platform: Pick<Platform, "openCapture">;
  readonly config: Pick<ClientConfig, "capture" | "killSwitch">;
}

/**
 * Opens what captures packets; nothing is captured before it is started.
 * @returns undefined where an interface is to be made
 * @throws {UserError} where the configuration wants what can't be had
 */
export function openPacketCapture(
  options: PacketCaptureOptions,
): OpenedCapture | undefined {
  const { platform, config: { capture, killSwitch }, onLine } = options;
  const { mode } = capture;
  if (mode === "wintun") return undefined;
  const persists = killSwitch.enabled && killSwitch.persist;
  if (persists && mode === "ndis") {
    throw new UserError(
      "killSwitch.persist is not to be had with capture.mode ndis: its driver lets everything through when the client dies",
      "set capture.mode: wintun, or killSwitch.persist: false",
    );
  }
  if (persists) return undefined;
  try {
    return platform.openCapture(options);
  } catch (error) {
    if (!(error instanceof CaptureError)) throw error;
    if (mode === "ndis") {
      throw new UserError(error.message, error.advice, undefined, {
        cause: error,
      });
    }
    if (error.code !== "unsupported") {
      onLine(`packets come by an interface: ${error.message}`);
    }
    return undefined;
  }
}

/** What need not be looked at, by a configuration and the networks that the host is in. */
export function passRules(
  { killSwitch }: Pick<ClientConfig, "killSwitch">,
  networks: readonly AllowedNetwork[],
): PassRule[] {
  const dhcp: PassRule[] = killSwitch.allowDhcp ? [{ kind: "dhcp" }] : [];
  if (!killSwitch.allowLan) return dhcp;
  const near = networks.map(({ family, words, prefixLength }): PassRule => ({
    kind: "network",
    prefix: { family, words: Uint32Array.from(words), length: prefixLength },
    dns: "captured",
  }));
  return [...dhcp, ...near];
}

/** The system's resolvers where questions are captured on their way: nothing is taken over. */
export function untouchedResolvers(
  platform: Pick<Platform, "openNameResolution">,
  journal: Journal,
): SystemResolversOptions["resolvConf"] {
  const resolution = platform.openNameResolution(journal, {
    interfaceName: "",
    nameservers: [],
    onWarning: () => {},
  });
  return resolution && {
    take: () => {},
    restore: () => {},
    resolvers: () => resolution.resolvers(),
  };
}
