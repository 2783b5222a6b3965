/** Which client.yaml a command is about. */
import { Option } from "@commander-js/extra-typings";
import { localSockets } from "../io/platform.ts";
import { askControl } from "../control/control_client.ts";
import type { ClientStatus } from "../control/client_port.ts";

/** Where commands look when nobody says otherwise. */
export const DEFAULT_CLIENT_CONFIG = "client.yaml";

/** Options of each command that changes the config. */
export type ConfigOptions = { readonly config?: string };

/** `--config` of commands that read and change it. */
export function clientConfigOption(): Option<"-c, --config <file>"> {
  return new Option(
    "-c, --config <file>",
    `the client's config; the running client's, or ${DEFAULT_CLIENT_CONFIG}, where left out`,
  );
}

/** The file that was named, else that of the running client, else the usual one. */
export async function findClientConfig(
  { config }: ConfigOptions,
): Promise<string> {
  if (config !== undefined) return config;
  for (const socket of localSockets().client()) {
    const reply = await askControl(socket, { verb: "status" });
    if (reply.kind === "result") return (reply.result as ClientStatus).config;
  }
  return DEFAULT_CLIENT_CONFIG;
}
