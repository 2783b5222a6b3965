/*
 * A stand-in for the calls of iphlpapi.dll that Wine lacks: those that change the
 * host's network, and what they change that Wine does not tell. Written against
 * the public declarations and the error codes that the documentation lists.
 *
 * Each call is checked as Windows does, and told as a line to network_bridge.ts, a
 * Linux program in the machine's network namespace, which does it there and says
 * what became of it; Wine's own calls then show it.
 *
 *     address-add INDEX ADDRESS/LENGTH SKIP     -> CODE
 *     address-delete INDEX ADDRESS/LENGTH       -> CODE
 *     route-add INDEX PREFIX/LENGTH NEXT METRIC -> CODE
 *     route-delete INDEX PREFIX/LENGTH NEXT     -> CODE
 *     interface-get INDEX FAMILY                -> CODE [SETTINGS]
 *     interface-set INDEX FAMILY SETTINGS       -> CODE
 *     names-set INDEX FAMILY [ADDRESS,...]      -> CODE
 *
 * Settings: MTU METRIC AUTOMATIC FORWARDS DISCOVERY PROBES.
 *
 * Environment: SLUICE_NETWORK_BRIDGE is the bridge's port (7702). Where nobody
 * listens there, calls fail with ERROR_SERVICE_NOT_ACTIVE.
 */
#include <winsock2.h>
#include <ws2tcpip.h>
#include <windows.h>
#include <iphlpapi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "newer_declarations.h"

#define DEFAULT_PORT 7702
#define LINE 512
#define ADDRESS_ROOM 64
#define FOR_EVER 0xffffffffu

static unsigned short bridge_port(void)
{
    const char *text = getenv("SLUICE_NETWORK_BRIDGE");
    return (unsigned short)(text ? atoi(text) : DEFAULT_PORT);
}

/* Asks the bridge one line; what follows the code in its answer goes to rest. */
static DWORD ask(const char *line, char *rest, size_t room)
{
    WSADATA data;
    if (WSAStartup(MAKEWORD(2, 2), &data) != 0) return ERROR_SERVICE_NOT_ACTIVE;
    DWORD code = ERROR_SERVICE_NOT_ACTIVE;
    SOCKET socket_ = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    struct sockaddr_in place = {0};
    place.sin_family = AF_INET;
    place.sin_port = htons(bridge_port());
    place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    char answer[LINE];
    int have = 0, got;
    if (socket_ == INVALID_SOCKET) goto out;
    if (connect(socket_, (struct sockaddr *)&place, sizeof place) != 0) goto out;
    if (send(socket_, line, (int)strlen(line), 0) != (int)strlen(line)) goto out;
    while (have < LINE - 1 &&
           (got = recv(socket_, answer + have, LINE - 1 - have, 0)) > 0) {
        have += got;
        if (answer[have - 1] == '\n') break;
    }
    answer[have] = 0;
    if (have > 0) {
        char *end;
        code = strtoul(answer, &end, 10);
        if (rest) snprintf(rest, room, "%s", end);
    }
out:
    if (socket_ != INVALID_SOCKET) closesocket(socket_);
    WSACleanup();
    return code;
}

/* An interface's number of either of its names; 0 where neither is given. */
static DWORD find_index(const NET_LUID *luid, NET_IFINDEX given, NET_IFINDEX *index)
{
    *index = given;
    if (luid->Value != 0) return ConvertInterfaceLuidToIndex(luid, index);
    return given == 0 ? ERROR_INVALID_PARAMETER : NO_ERROR;
}

static int is_family(ADDRESS_FAMILY family)
{
    return family == AF_INET || family == AF_INET6;
}

static const char *text_of(const SOCKADDR_INET *address, char *text)
{
    const void *bytes = address->si_family == AF_INET
        ? (const void *)&address->Ipv4.sin_addr
        : (const void *)&address->Ipv6.sin6_addr;
    return InetNtopA(address->si_family, bytes, text, ADDRESS_ROOM);
}

static unsigned longest(ADDRESS_FAMILY family)
{
    return family == AF_INET ? 32 : 128;
}

void WINAPI InitializeUnicastIpAddressEntry(PMIB_UNICASTIPADDRESS_ROW row)
{
    memset(row, 0, sizeof *row);
    row->PrefixOrigin = IpPrefixOriginUnchanged;
    row->SuffixOrigin = IpSuffixOriginUnchanged;
    row->OnLinkPrefixLength = 255;
    row->ValidLifetime = FOR_EVER;
    row->PreferredLifetime = FOR_EVER;
    row->DadState = IpDadStateInvalid;
}

static DWORD change_address(const MIB_UNICASTIPADDRESS_ROW *row, const char *verb,
                            const char *more)
{
    char line[LINE], text[ADDRESS_ROOM];
    NET_IFINDEX index;
    if (!row || !is_family(row->Address.si_family)) return ERROR_INVALID_PARAMETER;
    DWORD code = find_index(&row->InterfaceLuid, row->InterfaceIndex, &index);
    if (code != NO_ERROR) return code;
    unsigned length = row->OnLinkPrefixLength == 255
        ? longest(row->Address.si_family)
        : row->OnLinkPrefixLength;
    if (length > longest(row->Address.si_family)) return ERROR_INVALID_PARAMETER;
    if (!text_of(&row->Address, text)) return ERROR_INVALID_PARAMETER;
    snprintf(line, LINE, "%s %lu %s/%u%s\n", verb, index, text, length, more);
    return ask(line, NULL, 0);
}

DWORD WINAPI CreateUnicastIpAddressEntry(const MIB_UNICASTIPADDRESS_ROW *row)
{
    if (!row) return ERROR_INVALID_PARAMETER;
    return change_address(row, "address-add", row->SkipAsSource ? " 1" : " 0");
}

DWORD WINAPI DeleteUnicastIpAddressEntry(const MIB_UNICASTIPADDRESS_ROW *row)
{
    return change_address(row, "address-delete", "");
}

void WINAPI InitializeIpForwardEntry(PMIB_IPFORWARD_ROW2 row)
{
    memset(row, 0, sizeof *row);
    row->ValidLifetime = FOR_EVER;
    row->PreferredLifetime = FOR_EVER;
    row->Metric = FOR_EVER;
    row->Protocol = MIB_IPPROTO_NETMGMT;
    row->Origin = NlroManual;
}

static DWORD change_route(const MIB_IPFORWARD_ROW2 *row, const char *verb,
                          const char *more)
{
    char line[LINE], text[ADDRESS_ROOM], next[ADDRESS_ROOM];
    NET_IFINDEX index;
    if (!row || !is_family(row->DestinationPrefix.Prefix.si_family) ||
        row->NextHop.si_family != row->DestinationPrefix.Prefix.si_family) {
        return ERROR_INVALID_PARAMETER;
    }
    DWORD code = find_index(&row->InterfaceLuid, row->InterfaceIndex, &index);
    if (code != NO_ERROR) return code;
    unsigned length = row->DestinationPrefix.PrefixLength;
    if (length > longest(row->NextHop.si_family)) return ERROR_INVALID_PARAMETER;
    if (!text_of(&row->DestinationPrefix.Prefix, text)) return ERROR_INVALID_PARAMETER;
    if (!text_of(&row->NextHop, next)) return ERROR_INVALID_PARAMETER;
    snprintf(line, LINE, "%s %lu %s/%u %s%s\n", verb, index, text, length, next, more);
    return ask(line, NULL, 0);
}

DWORD WINAPI CreateIpForwardEntry2(const MIB_IPFORWARD_ROW2 *row)
{
    char metric[ADDRESS_ROOM];
    if (!row) return ERROR_INVALID_PARAMETER;
    snprintf(metric, ADDRESS_ROOM, " %lu", row->Metric);
    return change_route(row, "route-add", metric);
}

DWORD WINAPI DeleteIpForwardEntry2(const MIB_IPFORWARD_ROW2 *row)
{
    return change_route(row, "route-delete", "");
}

DWORD WINAPI GetIpInterfaceEntry(PMIB_IPINTERFACE_ROW row)
{
    char line[LINE], rest[LINE];
    NET_IFINDEX index;
    if (!row || !is_family(row->Family)) return ERROR_INVALID_PARAMETER;
    DWORD code = find_index(&row->InterfaceLuid, row->InterfaceIndex, &index);
    if (code != NO_ERROR) return code;
    snprintf(line, LINE, "interface-get %lu %d\n", index,
             row->Family == AF_INET ? 4 : 6);
    code = ask(line, rest, LINE);
    if (code != NO_ERROR) return code;
    unsigned long mtu = 0, metric = 0, automatic = 0, forwards = 0, discovery = 0;
    unsigned long probes = 0;
    sscanf(rest, "%lu %lu %lu %lu %lu %lu", &mtu, &metric, &automatic, &forwards,
           &discovery, &probes);
    row->ForwardingEnabled = forwards != 0;
    row->RouterDiscoveryBehavior = (NL_ROUTER_DISCOVERY_BEHAVIOR)discovery;
    row->DadTransmits = probes;
    row->InterfaceIndex = index;
    row->NlMtu = mtu;
    row->Metric = metric;
    row->UseAutomaticMetric = automatic != 0;
    row->Connected = TRUE;
    /* As Windows tells it; setting it is refused. */
    row->SitePrefixLength = 64;
    return NO_ERROR;
}

DWORD WINAPI SetIpInterfaceEntry(PMIB_IPINTERFACE_ROW row)
{
    char line[LINE];
    NET_IFINDEX index;
    if (!row || !is_family(row->Family)) return ERROR_INVALID_PARAMETER;
    if (row->Family == AF_INET && row->SitePrefixLength > 32) {
        return ERROR_INVALID_PARAMETER;
    }
    DWORD code = find_index(&row->InterfaceLuid, row->InterfaceIndex, &index);
    if (code != NO_ERROR) return code;
    snprintf(line, LINE, "interface-set %lu %d %lu %lu %d %d %d %lu\n", index,
             row->Family == AF_INET ? 4 : 6, row->NlMtu, row->Metric,
             row->UseAutomaticMetric ? 1 : 0, row->ForwardingEnabled ? 1 : 0,
             (int)row->RouterDiscoveryBehavior, row->DadTransmits);
    return ask(line, NULL, 0);
}

DWORD WINAPI SetInterfaceDnsSettings(GUID guid, const DNS_INTERFACE_SETTINGS *settings)
{
    char line[LINE];
    NET_LUID luid;
    NET_IFINDEX index;
    if (!settings || settings->Version != 1) return ERROR_INVALID_PARAMETER;
    DWORD code = ConvertInterfaceGuidToLuid(&guid, &luid);
    if (code != NO_ERROR) return code;
    code = ConvertInterfaceLuidToIndex(&luid, &index);
    if (code != NO_ERROR) return code;
    snprintf(line, LINE, "names-set %lu %d %ls\n", index,
             settings->Flags & 1 ? 6 : 4,
             settings->NameServer ? settings->NameServer : L"");
    return ask(line, NULL, 0);
}
