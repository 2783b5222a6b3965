/** A worker that runs pumps. */
import { runWorker } from "./pump.ts";
import { serveWorker } from "./worker_thread.ts";

serveWorker(runWorker);
