/** Ways out on the sockets of Windows: the suites that run on all systems. */
import "../../../io/dns_stream_test.ts";
import "../../../io/dns_upstream_test.ts";
import "../../../io/outbound/loopback_pair_test.ts";
import "../../../io/outbound/proxy_dial_test.ts";
import "../../../io/outbound/socks5_udp_test.ts";
import "../../../io/outbound/tls_bridge_test.ts";
