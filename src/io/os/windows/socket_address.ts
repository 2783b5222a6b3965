/** Socket addresses of Windows. */
import {
  sockaddrIn,
  sockaddrIn6,
} from "../../../../ffi/windows/layouts/ws2_32.ts";
import { AF } from "../../../../ffi/windows/ws2_32.ts";
import { socketAddresses } from "../shared/socket_addresses.ts";

export { SOCKET_ADDRESS_ROOM } from "../shared/socket_addresses.ts";

export const { writeSocketAddress, readSocketAddress, readSocketPort } =
  socketAddresses({ families: AF, sockaddrIn, sockaddrIn6 });
