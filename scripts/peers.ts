/**
 * Fetches the foreign peers that the e2e tests and the benchmark talk to, where
 * the cache lacks them: `deno run -A scripts/peers.ts`.
 */
import { fetchWireguardGo } from "../tests/support/wireguard_go_package.ts";

if (import.meta.main) console.log(await fetchWireguardGo());
