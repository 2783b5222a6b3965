/** Streams over sockets on Windows. */
import { openPlatform } from "../../../../../src/io/platform.ts";
import { testSocketStreams } from "../../../../contract/socket_streams.ts";

testSocketStreams(openPlatform);
