/** The UDP socket that carries tunnel messages, as a worker on Windows uses it. */
import type { Ws2 } from "../../../../ffi/windows/ws2_32.ts";
import type { TunnelSocket, TunnelSocketAttachment } from "../../ports.ts";
import { AttachedTunnelSocket } from "../shared/attached_tunnel_socket.ts";
import { TunnelReceiver } from "./tunnel_receiver.ts";
import { tunnelTrains } from "./tunnel_trains.ts";
import { sendsTrains } from "./udp_trains.ts";

/** Uses the socket in one worker; disposing of it leaves the socket open. */
export function attachTunnelSocket(
  ws2: Ws2,
  attachment: TunnelSocketAttachment,
): TunnelSocket {
  const { descriptor, family, bytes } = attachment;
  const trains = sendsTrains(ws2, descriptor);
  return new AttachedTunnelSocket(attachment, (messages, sources) => ({
    trains: tunnelTrains(ws2, { ...messages, family, bytes, trains }),
    receiver: new TunnelReceiver(ws2, attachment, sources),
  }));
}
