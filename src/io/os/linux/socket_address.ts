/** Socket addresses of Linux. */
import { sockaddrIn, sockaddrIn6 } from "../../../../ffi/linux_layouts.ts";
import { AF } from "../../../../ffi/linux_socket_constants.ts";
import { socketAddresses } from "../shared/socket_addresses.ts";

export { SOCKET_ADDRESS_ROOM } from "../shared/socket_addresses.ts";

export const { writeSocketAddress, readSocketAddress, readSocketPort } =
  socketAddresses({ families: AF, sockaddrIn, sockaddrIn6 });
