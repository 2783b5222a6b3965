/** What a running gateway says of its peers. */
import { type LivePeers, queryUapi } from "../control/uapi_client.ts";
import { localSockets } from "../io/platform.ts";

/**
 * The live peers of an interface; undefined where it does not run, or where
 * this user may not ask it.
 */
export function liveState(
  interfaceName: string,
): Promise<LivePeers | undefined> {
  return queryUapi(localSockets().uapi(interfaceName));
}
