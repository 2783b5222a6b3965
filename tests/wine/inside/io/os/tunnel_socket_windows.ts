/** The tunnel's socket on Windows: what all systems do. */
import { openPlatform } from "../../../../../src/io/platform.ts";
import { testTunnelSocket } from "../../../../contract/tunnel_socket.ts";

// Under Wine a socket's buffer is as large as Linux lets anybody have it.
testTunnelSocket({ open: openPlatform, messages: 530 });
