/** The relay on the sockets of Windows: the suites that run on all systems. */
import "../../../datapath/relay/dial_answer_test.ts";
import "../../../datapath/relay/dns_over_tcp_test.ts";
import "../../../datapath/relay/endpoint_index_test.ts";
import "../../../datapath/relay/relay_loop_test.ts";
import "../../../datapath/relay/udp_answer_test.ts";
import "../../../datapath/relay/udp_refusal_test.ts";
import "../../../datapath/relay/udp_relay_test.ts";
