/**
 * Named pipes, under a prefix that only administrators can make pipes below: no
 * other program can pass for us. Who else may speak on a pipe the system says:
 * by default administrators and its owner.
 */
import type { LocalSocketPaths } from "../../ports/local_socket_paths.ts";

const PREFIX = "\\\\.\\pipe\\ProtectedPrefix\\Administrators\\";

/** The places of Windows; `wg` looks for interfaces there too. */
export const windowsLocalSocketPaths: LocalSocketPaths = {
  uapi: (name) => `${PREFIX}WireGuard\\${name}`,
  client: () => [`${PREFIX}sluice\\client`],
};
