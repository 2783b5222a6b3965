/**
 * Deno opens its debugger, as Node does, when SIGUSR1 comes, whether or not the
 * program listens to that signal; and whoever may connect to it is who we are.
 */
import { close, url } from "node:inspector";

const INTERVAL_MS = 5;
/** How long the debugger may take to open, in ms. */
const PATIENCE_MS = 2000;

/** Closes the debugger as soon as it is there. */
export async function closeDebugger(): Promise<void> {
  for (let waited = 0; waited < PATIENCE_MS; waited += INTERVAL_MS) {
    if (url() !== undefined) return close();
    await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
  }
}
