/** Waiting and waking on Windows: what all systems do. */
import { openPlatform } from "../../../../../src/io/platform.ts";
import { attachPoller } from "../../../../../src/io/os/windows/poller.ts";
import { openSocketLibraries } from "../../../../../src/io/os/windows/socket_libraries.ts";
import { testPoller } from "../../../../contract/poller.ts";

/** The platform knows TUNs by more than the event that the poller waits for. */
testPoller(() => {
  const libraries = openSocketLibraries();
  return Object.assign(openPlatform(), {
    attachPoller: attachPoller.bind(undefined, libraries),
  });
});
