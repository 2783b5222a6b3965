/** A worker that relays TCP. */
import { type RelayNotice, type RelaySetup, runRelayWorker } from "./relay.ts";
import { serveWorker } from "./worker_thread.ts";

serveWorker<RelaySetup, RelayNotice>(runRelayWorker);
