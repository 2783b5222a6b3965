/**
 * The system's resolvers as a client takes them over: by the system's own means
 * where it has some, else by /etc/resolv.conf.
 */
import type { Platform } from "../io/platform.ts";
import type { Journal, NameResolution } from "../io/ports.ts";
import {
  clientResolvConf,
  type ClientResolvConfOptions,
} from "./client_resolv_conf.ts";

/** What taking over works with. */
export interface ClientNamesOptions extends ClientResolvConfOptions {
  readonly platform: Pick<Platform, "openNameResolution">;
  readonly journal: Journal;
  /** The capture's. */
  readonly interfaceName: string;
}

/**
 * Gives /etc/resolv.conf back where a client that was killed has taken it; where
 * the system has other means, recovering the host's network has done so.
 * @returns a line about what was undone.
 */
export function recoverNames(
  options: Pick<ClientNamesOptions, "platform" | "journal" | "processes"> & {
    readonly onWarning: (text: string) => void;
  },
): string[] {
  const { platform, journal, processes, onWarning } = options;
  const nameservers: readonly Int32Array[] = [];
  using own = platform.openNameResolution(journal, {
    interfaceName: "",
    nameservers,
    onWarning,
  });
  if (own !== undefined) return [];
  const file = clientResolvConf({
    processes,
    nameservers,
    clock: {
      now: () => performance.now(),
      after: () => ({ [Symbol.dispose]: () => {} }),
    },
    onChange: () => {},
    onWarning,
  });
  return file.recover() === "restored" ? ["resolv.conf put back"] : [];
}

/** Opens it; nothing is changed yet. */
export function clientNames(options: ClientNamesOptions): NameResolution {
  const { platform, journal, interfaceName, nameservers, onWarning } = options;
  const own = platform.openNameResolution(journal, {
    interfaceName,
    nameservers,
    onWarning,
  });
  if (own !== undefined) return own;
  const file = clientResolvConf(options);
  return {
    take: () => void file.take(),
    restore: () => file.restore(),
    resolvers: () => file.resolvers(),
    [Symbol.dispose]: () => {},
  };
}
