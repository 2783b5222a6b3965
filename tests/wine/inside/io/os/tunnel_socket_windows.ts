/** The tunnel's socket on Windows: what all systems do. */
import { openPlatform } from "../../../../../src/io/platform.ts";
import { testTunnelSocket } from "../../../../contract/tunnel_socket.ts";

testTunnelSocket({
  open: openPlatform,
  // Under Wine a socket's buffer is as large as Linux lets anybody have it.
  messages: 530,
  // Wine drops the control data of what is sent.
  sources: "ignored",
});
