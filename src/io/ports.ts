/**
 * What the rest of sluice asks of the world. Each operating system implements
 * these under `os/`; `platform.ts` is the one place that chooses.
 *
 * Data-plane ports (TunDevice, TunnelSocket, OutsidePort, Poller) are used by a
 * worker's packet loop: they neither allocate nor throw once opened, report by
 * return values, and take bytes by offset in the worker's arena. Control-plane
 * ports (HostNetwork) throw with the name and code of the call that failed.
 */
export * from "./ports/poller.ts";
export * from "./ports/cipher_library.ts";
export * from "./ports/tun.ts";
export * from "./ports/capture.ts";
export * from "./ports/packet_writer.ts";
export * from "./ports/tunnel_socket.ts";
export * from "./ports/outside.ts";
export * from "./ports/dialer.ts";
export * from "./ports/udp_carrier.ts";
export * from "./ports/stream_sockets.ts";
export * from "./ports/socket_events.ts";
export * from "./ports/socket_streams.ts";
export * from "./ports/host_network.ts";
export * from "./ports/name_resolution.ts";
export * from "./ports/journal.ts";
export * from "./ports/local_sockets.ts";
export * from "./ports/privileges.ts";
export * from "./ports/process_table.ts";
export * from "./ports/policy_routing.ts";
export * from "./ports/kill_switch.ts";
export * from "./ports/network_monitor.ts";
export * from "./ports/echo_listener.ts";
export * from "./ports/echo_probe.ts";
export * from "./ports/startup_tasks.ts";
