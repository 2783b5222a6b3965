/** The relay's sockets on Windows: what all systems do. */
import { openPlatform } from "../../../../../src/io/platform.ts";
import { testStreamSockets } from "../../../../contract/stream_sockets.ts";

testStreamSockets({
  open: openPlatform,
  loopback: "lo",
  tooManyProbes: 1000,
  // Wine takes the error away when it looks for it.
  refusedDatagrams: "silent",
});
