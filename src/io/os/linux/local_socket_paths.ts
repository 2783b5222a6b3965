/** Unix sockets: `/run` for root, the session's directory for a user. */
import type { LocalSocketPaths } from "../../ports/local_socket_paths.ts";

const CLIENT = "sluice/client.sock";

/** The places of Linux. */
export const linuxLocalSocketPaths: LocalSocketPaths = {
  uapi: (name) => `/var/run/wireguard/${name}.sock`,
  client: () => {
    const common = `/run/${CLIENT}`;
    if (Deno.uid() === 0) return [common];
    const session = Deno.env.get("XDG_RUNTIME_DIR");
    return session?.startsWith("/")
      ? [`${session}/${CLIENT}`, common]
      : [common];
  },
};
