/** Streams over sockets on Linux. */
import { openPlatform } from "../../../../src/io/platform.ts";
import { testSocketStreams } from "../../../contract/socket_streams.ts";

testSocketStreams(openPlatform);
