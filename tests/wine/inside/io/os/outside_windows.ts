/** The outside's sockets on Windows: what all systems do. */
import { openPlatform } from "../../../../../src/io/platform.ts";
import { testOutside } from "../../../../contract/outside.ts";

testOutside({
  open: () => Object.assign(openPlatform(), { raiseOpenFileLimit: () => 4096 }),
  // Wine's are Linux's.
  systemHopLimit: 64,
  usualHopLimit: 128,
  // Wine has no raw ICMPv6.
  icmpFamilies: [4],
  sockets: 1000,
});
