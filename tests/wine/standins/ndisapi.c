/*
 * A stand-in for ndisapi.dll (3.6, x64) and its driver under Wine, where no driver
 * can be loaded. Written against the public headers; it keeps to their limits and
 * failures. Frames travel over a TCP connection on 127.0.0.1 to tap_bridge.ts,
 * which has two TAP interfaces for each adapter: the host's own, and the wire.
 *
 *     message    u32: type << 24 | adapter << 16 | length, then so many bytes
 *
 * All handles of a process share one connection, which ends with the process. A
 * handle's modes, filters and sections go when it is closed.
 *
 * Environment:
 *     SLUICE_NDISAPI_BRIDGE    the bridge's port (7703)
 *     SLUICE_NDISAPI_SECTIONS  "none": the driver has no sections (Fast I/O)
 *     SLUICE_NDISAPI_VERSION   the version that is told, hexadecimal
 *     SLUICE_NDISAPI_OFFLOAD   "checksums": adapters compute them, so that what the
 *                              host sends has none when it is captured
 *
 * Compiled with -DMAX_ETHER_FRAME=9014 it is a build for jumbo frames.
 */
#include <winsock2.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ndisapi_structs.h"

#define API __declspec(dllexport)

enum { ON_SEND = 1, ON_RECEIVE = 2 };
enum { SENT_TUNNEL = 1, RECV_TUNNEL = 2, SENT_LISTEN = 4, RECV_LISTEN = 8 };
enum { PASS = 1, DROP, REDIRECT, PASS_RDR, DROP_RDR };
enum { LINK_LAYER = 1, NETWORK_LAYER = 2, TRANSPORT_LAYER = 4 };
enum { SOURCE_FIELD = 1, DESTINATION_FIELD = 2, THIRD_FIELD = 4 };
enum { FROM_HOST = 1, FROM_NETWORK, ADAPTERS, TO_HOST, TO_NETWORK, MODE };

#define QUEUE 4096
#define MAX_FILTERS 256
#define MAX_SECTIONS 16
#define MAX_ADAPTERS 8
#define LONGEST 65535
#define DEFAULT_VERSION 0x06013000u
#define NO_VERSION 0xffffffffu
#define DEFAULT_PORT 7703
/* Like the addresses in the kernel that the driver hands out. */
#define ADAPTER_BASE 0xffff8a0012340000ull

/* An adapter as the bridge tells of it. */
#pragma pack(push, 1)
typedef struct {
    uint32_t index, mtu;
    UCHAR mac[8];
    char name[16];
} told_t;

typedef struct {
    volatile LONG word; /* frames, and 1 << 16 while one is written */
    volatile LONG reading;
    INTERMEDIATE_BUFFER frames[1];
} section_t;
#pragma pack(pop)

typedef struct {
    told_t told;
    DWORD mode;
    struct driver *owner;
    HANDLE event;
} adapter_t;

typedef struct driver {
    BOOL loaded;
} driver_t;

static CRITICAL_SECTION lock, sending;
static volatile LONG ready;
static SOCKET bridge = INVALID_SOCKET;
static unsigned handles;

static adapter_t adapters[MAX_ADAPTERS];
static unsigned adapter_count;
static HANDLE list_event;

static INTERMEDIATE_BUFFER *queue;
static unsigned queue_head, queue_tail;

static STATIC_FILTER filters[MAX_FILTERS];
static unsigned filter_count;
static driver_t *filter_owner;

static section_t *sections[MAX_SECTIONS];
static unsigned section_room[MAX_SECTIONS], section_count;
static driver_t *section_owner;

static int variable(const char *name, const char *value)
{
    char text[64];
    DWORD length = GetEnvironmentVariableA(name, text, sizeof text);
    return length > 0 && length < sizeof text && strcmp(text, value) == 0;
}

static unsigned number(const char *name, int base, unsigned otherwise)
{
    char text[64];
    DWORD length = GetEnvironmentVariableA(name, text, sizeof text);
    return length > 0 && length < sizeof text ? strtoul(text, 0, base) : otherwise;
}

static BOOL refuse(DWORD error)
{
    SetLastError(error);
    return FALSE;
}

/* The bridge */

static BOOL send_all(const void *bytes, unsigned length)
{
    const char *at = bytes;
    while (length > 0) {
        int sent = send(bridge, at, length, 0);
        if (sent <= 0) return FALSE;
        at += sent;
        length -= sent;
    }
    return TRUE;
}

static BOOL receive_all(SOCKET from, void *bytes, unsigned length)
{
    char *at = bytes;
    while (length > 0) {
        int got = recv(from, at, length, 0);
        if (got <= 0) return FALSE;
        at += got;
        length -= got;
    }
    return TRUE;
}

static BOOL tell(int type, unsigned adapter, const void *bytes, unsigned length)
{
    char message[4 + MAX_ETHER_FRAME];
    uint32_t header = (uint32_t)type << 24 | adapter << 16 | length;
    if (length > MAX_ETHER_FRAME) return FALSE;
    memcpy(message, &header, 4);
    memcpy(message + 4, bytes, length);
    EnterCriticalSection(&sending);
    BOOL sent = send_all(message, length + 4);
    LeaveCriticalSection(&sending);
    return sent;
}

static int index_of(HANDLE adapter)
{
    uint64_t at = (uint64_t)(uintptr_t)adapter - ADAPTER_BASE;
    for (unsigned i = 0; i < adapter_count; i++)
        if (at == (uint64_t)adapters[i].told.index << 4) return i;
    return -1;
}

static HANDLE handle_of(unsigned i)
{
    return (HANDLE)(uintptr_t)(ADAPTER_BASE + ((uint64_t)adapters[i].told.index << 4));
}

static void set_mode(unsigned i, DWORD mode)
{
    adapters[i].mode = mode;
    tell(MODE, i, &mode, sizeof mode);
}

/* Checksums, for adapters that compute them */

static uint32_t add_up(const UCHAR *p, int length, uint32_t sum)
{
    for (; length > 1; p += 2, length -= 2) sum += p[0] << 8 | p[1];
    if (length > 0) sum += p[0] << 8;
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

/* Where a frame's TCP or UDP checksum is, with the pseudo-header's sum; or 0. */
static UCHAR *checksum_in(UCHAR *frame, unsigned length, uint32_t *pseudo, UCHAR **at, int *size)
{
    UCHAR *ip = frame + 14;
    int protocol;
    if (frame[12] == 0x08 && frame[13] == 0x00 && length >= 34) {
        if ((ip[6] & 0x3f) | ip[7]) return 0;
        protocol = ip[9];
        *at = ip + (ip[0] & 15) * 4;
        *size = (ip[2] << 8 | ip[3]) - (ip[0] & 15) * 4;
        *pseudo = add_up(ip + 12, 8, protocol + *size);
    } else if (frame[12] == 0x86 && frame[13] == 0xdd && length >= 54) {
        protocol = ip[6];
        *at = ip + 40;
        *size = ip[4] << 8 | ip[5];
        *pseudo = add_up(ip + 8, 32, protocol + *size);
    } else return 0;
    if (*size < 8 || *at + *size > frame + length) return 0;
    if (protocol == 6 && *size >= 20) return *at + 16;
    return protocol == 17 ? *at + 6 : 0;
}

/* What the host leaves to the adapter: the pseudo-header's sum alone. */
static void leave_checksum(UCHAR *frame, unsigned length)
{
    uint32_t pseudo;
    UCHAR *at, *field;
    int size;
    field = checksum_in(frame, length, &pseudo, &at, &size);
    if (!field) return;
    field[0] = pseudo >> 8;
    field[1] = pseudo;
}

static void make_checksum(UCHAR *frame, unsigned length)
{
    uint32_t pseudo;
    UCHAR *at, *field;
    int size;
    field = checksum_in(frame, length, &pseudo, &at, &size);
    if (!field) return;
    field[0] = field[1] = 0;
    uint32_t sum = ~add_up(at, size, pseudo) & 0xffff;
    if (sum == 0 && field == at + 6) sum = 0xffff;
    field[0] = sum >> 8;
    field[1] = sum;
}

/* Static filters */

static BOOL in_net4(const IP_ADDRESS_V4 *net, const UCHAR *ip)
{
    ULONG address;
    memcpy(&address, ip, 4);
    return (address & net->m_IpSubnet.m_IpMask) == (net->m_IpSubnet.m_Ip & net->m_IpSubnet.m_IpMask);
}

static BOOL in_net6(const IP_ADDRESS_V6 *net, const UCHAR *ip)
{
    for (int i = 0; i < 16; i++)
        if ((ip[i] ^ net->m_IpSubnet.m_Ip[i]) & net->m_IpSubnet.m_IpMask[i]) return FALSE;
    return TRUE;
}

static BOOL in_range(const PORT_RANGE *range, unsigned port)
{
    return port >= range->m_StartRange && port <= range->m_EndRange;
}

static BOOL fits(const STATIC_FILTER *f, unsigned adapter, DWORD way, const UCHAR *b, unsigned length)
{
    unsigned type = b[12] << 8 | b[13];
    const UCHAR *ip = b + 14, *transport = 0;
    int protocol = -1;
    if (f->m_Adapter.QuadPart && (HANDLE)(uintptr_t)f->m_Adapter.QuadPart != handle_of(adapter)) return FALSE;
    if (!(f->m_dwDirectionFlags & way)) return FALSE;
    if (type == 0x0800 && length >= 34) {
        protocol = ip[9];
        /* Later fragments have no ports. */
        if (!((ip[6] & 0x1f) | ip[7])) transport = ip + (ip[0] & 15) * 4;
    } else if (type == 0x86dd && length >= 54) {
        protocol = ip[6];
        transport = ip + 40;
    }
    if (f->m_ValidFields & LINK_LAYER) {
        const ETH_802_3_FILTER *e = &f->m_DataLinkFilter.m_Eth8023Filter;
        if ((e->m_ValidFields & SOURCE_FIELD) && memcmp(b + 6, e->m_SrcAddress, 6)) return FALSE;
        if ((e->m_ValidFields & DESTINATION_FIELD) && memcmp(b, e->m_DestAddress, 6)) return FALSE;
        if ((e->m_ValidFields & THIRD_FIELD) && e->m_Protocol != type) return FALSE;
    }
    if (f->m_ValidFields & NETWORK_LAYER) {
        const NETWORK_LAYER_FILTER *n = &f->m_NetworkFilter;
        if (protocol < 0) return FALSE;
        if (n->m_dwUnionSelector == 1) {
            const IP_V4_FILTER *v = &n->m_IPv4;
            if (type != 0x0800) return FALSE;
            if ((v->m_ValidFields & SOURCE_FIELD) && !in_net4(&v->m_SrcAddress, ip + 12)) return FALSE;
            if ((v->m_ValidFields & DESTINATION_FIELD) && !in_net4(&v->m_DestAddress, ip + 16)) return FALSE;
            if ((v->m_ValidFields & THIRD_FIELD) && v->m_Protocol != protocol) return FALSE;
        } else {
            const IP_V6_FILTER *v = &n->m_IPv6;
            if (type != 0x86dd) return FALSE;
            if ((v->m_ValidFields & SOURCE_FIELD) && !in_net6(&v->m_SrcAddress, ip + 8)) return FALSE;
            if ((v->m_ValidFields & DESTINATION_FIELD) && !in_net6(&v->m_DestAddress, ip + 24)) return FALSE;
            if ((v->m_ValidFields & THIRD_FIELD) && v->m_Protocol != protocol) return FALSE;
        }
    }
    if (f->m_ValidFields & TRANSPORT_LAYER) {
        const TCPUDP_FILTER *t = &f->m_TransportFilter.m_TcpUdp;
        if (!transport || transport + 4 > b + length || (protocol != 6 && protocol != 17)) return FALSE;
        if ((t->m_ValidFields & SOURCE_FIELD) && !in_range(&t->m_SourcePort, transport[0] << 8 | transport[1])) return FALSE;
        if ((t->m_ValidFields & DESTINATION_FIELD) && !in_range(&t->m_DestPort, transport[2] << 8 | transport[3])) return FALSE;
        if ((t->m_ValidFields & THIRD_FIELD) && (protocol != 6 || transport[13] != t->m_TCPFlags)) return FALSE;
    }
    return TRUE;
}

/* What is done with a frame; which filter says so goes to `id`. */
static int decide(unsigned adapter, DWORD way, const UCHAR *b, unsigned length, unsigned *id)
{
    DWORD mode = adapters[adapter].mode;
    BOOL tunnel = (mode & (way == ON_SEND ? SENT_TUNNEL : RECV_TUNNEL)) != 0;
    BOOL listen = (mode & (way == ON_SEND ? SENT_LISTEN : RECV_LISTEN)) != 0;
    int otherwise = tunnel ? REDIRECT : listen ? PASS_RDR : PASS;
    for (unsigned i = 0; i < filter_count; i++) {
        STATIC_FILTER *f = &filters[i];
        if (!fits(f, adapter, way, b, length)) continue;
        *id = i + 1;
        if (way == ON_SEND) {
            f->m_PacketsOut.QuadPart++;
            f->m_BytesOut.QuadPart += length;
        } else {
            f->m_PacketsIn.QuadPart++;
            f->m_BytesIn.QuadPart += length;
        }
        return f->m_FilterAction == REDIRECT && !tunnel ? otherwise : (int)f->m_FilterAction;
    }
    return otherwise;
}

static void fill(INTERMEDIATE_BUFFER *to, unsigned adapter, DWORD way, const UCHAR *b, unsigned length, unsigned id)
{
    memset(to, 0, offsetof(INTERMEDIATE_BUFFER, m_IBuffer));
    to->m_hAdapter = handle_of(adapter);
    to->m_dwDeviceFlags = way;
    to->m_Length = length;
    to->m_FilterID = id;
    memcpy(to->m_IBuffer, b, length);
    if (way == ON_SEND && variable("SLUICE_NDISAPI_OFFLOAD", "checksums")) leave_checksum(to->m_IBuffer, length);
}

/* Into a section that nobody reads and that has room. */
static BOOL to_section(unsigned adapter, DWORD way, const UCHAR *b, unsigned length, unsigned id)
{
    for (unsigned i = 0; i < section_count; i++) {
        section_t *s = sections[i];
        LONG count = s->word;
        if (s->reading || (unsigned)count >= section_room[i]) continue;
        if (InterlockedCompareExchange(&s->word, count | 1 << 16, count) != count) continue;
        /* Whoever reads has either been seen by now, or sees that a write goes on. */
        if (s->reading) {
            InterlockedCompareExchange(&s->word, count, count | 1 << 16);
            continue;
        }
        fill(&s->frames[count], adapter, way, b, length, id);
        /* Unless it was emptied in between. */
        if (InterlockedCompareExchange(&s->word, count + 1, count | 1 << 16) == (count | 1 << 16)) return TRUE;
    }
    return FALSE;
}

static void deliver(unsigned adapter, DWORD way, const UCHAR *b, unsigned length, unsigned id)
{
    if (!to_section(adapter, way, b, length, id)) {
        if (queue_tail - queue_head >= QUEUE) return;
        fill(&queue[queue_tail++ % QUEUE], adapter, way, b, length, id);
    }
    if (adapters[adapter].event) SetEvent(adapters[adapter].event);
}

static void take_adapters(const UCHAR *bytes, unsigned length)
{
    adapter_t before[MAX_ADAPTERS];
    unsigned count = length / sizeof(told_t), had = adapter_count;
    memcpy(before, adapters, sizeof before);
    memset(adapters, 0, sizeof adapters);
    for (unsigned i = 0; i < count && i < MAX_ADAPTERS; i++) {
        memcpy(&adapters[i].told, bytes + i * sizeof(told_t), sizeof(told_t));
        for (unsigned j = 0; j < had; j++) {
            if (before[j].told.index != adapters[i].told.index) continue;
            adapters[i].mode = before[j].mode;
            adapters[i].owner = before[j].owner;
            adapters[i].event = before[j].event;
        }
    }
    adapter_count = count < MAX_ADAPTERS ? count : MAX_ADAPTERS;
    if (list_event) SetEvent(list_event);
}

static void captured(unsigned adapter, DWORD way, const UCHAR *b, unsigned length)
{
    unsigned id = 0;
    int action;
    if (adapter >= adapter_count || length < 14 || length > MAX_ETHER_FRAME) return;
    action = decide(adapter, way, b, length, &id);
    if (action == PASS || action == PASS_RDR) tell(way == ON_SEND ? TO_NETWORK : TO_HOST, adapter, b, length);
    if (action != PASS && action != DROP) deliver(adapter, way, b, length, id);
}

static DWORD WINAPI receive(void *connection)
{
    SOCKET from = (SOCKET)(uintptr_t)connection;
    UCHAR bytes[LONGEST];
    uint32_t header;
    while (receive_all(from, &header, 4)) {
        unsigned length = header & 0xffff, adapter = header >> 16 & 0xff;
        if (!receive_all(from, bytes, length)) break;
        EnterCriticalSection(&lock);
        switch (header >> 24) {
        case FROM_HOST: captured(adapter, ON_SEND, bytes, length); break;
        case FROM_NETWORK: captured(adapter, ON_RECEIVE, bytes, length); break;
        case ADAPTERS: take_adapters(bytes, length); break;
        }
        LeaveCriticalSection(&lock);
    }
    EnterCriticalSection(&lock);
    bridge = INVALID_SOCKET;
    LeaveCriticalSection(&lock);
    closesocket(from);
    return 0;
}

static BOOL connect_bridge(void)
{
    UCHAR bytes[LONGEST];
    WSADATA data;
    BOOL one = TRUE;
    uint32_t header;
    struct sockaddr_in to = { 0 };
    WSAStartup(0x202, &data);
    bridge = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    setsockopt(bridge, IPPROTO_TCP, TCP_NODELAY, (char *)&one, sizeof one);
    to.sin_family = AF_INET;
    to.sin_port = htons(number("SLUICE_NDISAPI_BRIDGE", 10, DEFAULT_PORT));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(bridge, (struct sockaddr *)&to, sizeof to) == 0 && receive_all(bridge, &header, 4)
        && receive_all(bridge, bytes, header & 0xffff)) {
        take_adapters(bytes, header & 0xffff);
        CloseHandle(CreateThread(0, 0, receive, (void *)(uintptr_t)bridge, 0, 0));
        return TRUE;
    }
    closesocket(bridge);
    bridge = INVALID_SOCKET;
    return FALSE;
}

static void prepare(void)
{
    LONG state = InterlockedCompareExchange(&ready, 1, 0);
    if (state == 0) {
        HMODULE self;
        /* Its thread may still run when nobody has it open any more. */
        GetModuleHandleExA(GET_MODULE_HANDLE_EX_FLAG_PIN | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS,
            (const char *)&ready, &self);
        InitializeCriticalSection(&lock);
        InitializeCriticalSection(&sending);
        queue = calloc(QUEUE, sizeof *queue);
        InterlockedExchange(&ready, 2);
    }
    while (ready != 2) Sleep(0);
}

static BOOL usable(HANDLE open)
{
    return open && ((driver_t *)open)->loaded;
}

/* The library */

API HANDLE WINAPI OpenFilterDriver(LPCWSTR name)
{
    driver_t *open = calloc(1, sizeof *open);
    prepare();
    EnterCriticalSection(&lock);
    if (name && _wcsicmp(name, L"NDISRD") == 0) open->loaded = bridge != INVALID_SOCKET || connect_bridge();
    if (open->loaded) handles++;
    LeaveCriticalSection(&lock);
    /* As the library does: a handle comes back whether there is a driver or not; the error is its CreateFile's. */
    if (!open->loaded) SetLastError(number("SLUICE_NDISAPI_ERROR", 10, ERROR_FILE_NOT_FOUND));
    return open;
}

API VOID WINAPI CloseFilterDriver(HANDLE handle)
{
    driver_t *open = handle;
    if (!open) return;
    EnterCriticalSection(&lock);
    for (unsigned i = 0; i < adapter_count; i++) {
        if (adapters[i].owner != open) continue;
        set_mode(i, 0);
        adapters[i].owner = 0;
        adapters[i].event = 0;
    }
    if (filter_owner == open) filter_count = 0;
    if (section_owner == open) section_count = 0;
    if (open->loaded && --handles == 0) {
        queue_head = queue_tail;
        list_event = 0;
    }
    LeaveCriticalSection(&lock);
    free(open);
}

API BOOL WINAPI IsDriverLoaded(HANDLE open)
{
    return usable(open);
}

API DWORD WINAPI GetDriverVersion(HANDLE open)
{
    return usable(open) ? number("SLUICE_NDISAPI_VERSION", 16, DEFAULT_VERSION) : NO_VERSION;
}

API BOOL WINAPI GetTcpipBoundAdaptersInfo(HANDLE open, TCP_AdapterList *list)
{
    if (!usable(open)) return refuse(ERROR_INVALID_HANDLE);
    memset(list, 0, sizeof *list);
    EnterCriticalSection(&lock);
    list->m_nAdapterCount = adapter_count;
    for (unsigned i = 0; i < adapter_count; i++) {
        snprintf((char *)list->m_szAdapterNameList[i], ADAPTER_NAME_SIZE,
            "\\DEVICE\\{%08X-0000-0000-0000-4E6574446576}", adapters[i].told.index);
        list->m_nAdapterHandle[i] = handle_of(i);
        memcpy(list->m_czCurrentAddress[i], adapters[i].told.mac, ETHER_ADDR_LENGTH);
        list->m_usMTU[i] = adapters[i].told.mtu;
    }
    LeaveCriticalSection(&lock);
    return TRUE;
}

API BOOL WINAPI ConvertWindows2000AdapterName(LPCSTR name, LPSTR friendly, DWORD length)
{
    unsigned index = 0;
    BOOL known = FALSE;
    if (sscanf(name, "\\DEVICE\\{%08X", &index) != 1) return refuse(ERROR_FILE_NOT_FOUND);
    EnterCriticalSection(&lock);
    for (unsigned i = 0; i < adapter_count; i++) {
        if (adapters[i].told.index != index) continue;
        snprintf(friendly, length, "%s", adapters[i].told.name);
        known = TRUE;
    }
    LeaveCriticalSection(&lock);
    return known ? TRUE : refuse(ERROR_FILE_NOT_FOUND);
}

API BOOL WINAPI SetAdapterMode(HANDLE open, ADAPTER_MODE *mode)
{
    if (!usable(open)) return refuse(ERROR_INVALID_HANDLE);
    EnterCriticalSection(&lock);
    int i = index_of(mode->hAdapterHandle);
    if (i >= 0) {
        set_mode(i, mode->dwFlags);
        adapters[i].owner = open;
        if (mode->dwFlags == 0) queue_head = queue_tail;
    }
    LeaveCriticalSection(&lock);
    return i >= 0 ? TRUE : refuse(ERROR_INVALID_PARAMETER);
}

API BOOL WINAPI GetAdapterMode(HANDLE open, ADAPTER_MODE *mode)
{
    if (!usable(open)) return refuse(ERROR_INVALID_HANDLE);
    EnterCriticalSection(&lock);
    int i = index_of(mode->hAdapterHandle);
    if (i >= 0) mode->dwFlags = adapters[i].mode;
    LeaveCriticalSection(&lock);
    return i >= 0 ? TRUE : refuse(ERROR_INVALID_PARAMETER);
}

API BOOL WINAPI SetPacketEvent(HANDLE open, HANDLE adapter, HANDLE event)
{
    if (!usable(open)) return refuse(ERROR_INVALID_HANDLE);
    EnterCriticalSection(&lock);
    int i = index_of(adapter);
    if (i >= 0) {
        adapters[i].event = event;
        adapters[i].owner = open;
    }
    LeaveCriticalSection(&lock);
    return i >= 0 ? TRUE : refuse(ERROR_INVALID_PARAMETER);
}

API BOOL WINAPI SetAdapterListChangeEvent(HANDLE open, HANDLE event)
{
    if (!usable(open)) return refuse(ERROR_INVALID_HANDLE);
    EnterCriticalSection(&lock);
    list_event = event;
    LeaveCriticalSection(&lock);
    return TRUE;
}

API BOOL WINAPI FlushAdapterPacketQueue(HANDLE open, HANDLE adapter)
{
    if (!usable(open)) return refuse(ERROR_INVALID_HANDLE);
    EnterCriticalSection(&lock);
    int i = index_of(adapter);
    if (i >= 0) queue_head = queue_tail;
    LeaveCriticalSection(&lock);
    return i >= 0 ? TRUE : refuse(ERROR_INVALID_PARAMETER);
}

static unsigned take(INTERMEDIATE_BUFFER **to, unsigned count)
{
    unsigned taken = 0;
    EnterCriticalSection(&lock);
    while (taken < count && queue_head != queue_tail)
        memcpy(to[taken++], &queue[queue_head++ % QUEUE], sizeof(INTERMEDIATE_BUFFER));
    LeaveCriticalSection(&lock);
    return taken;
}

API BOOL WINAPI ReadPackets(HANDLE open, ETH_M_REQUEST *request)
{
    if (!usable(open)) return refuse(ERROR_INVALID_HANDLE);
    INTERMEDIATE_BUFFER *to[QUEUE];
    unsigned count = request->dwPacketsNumber < QUEUE ? request->dwPacketsNumber : QUEUE;
    memcpy(to, request->EthPacket, count * sizeof *to);
    request->dwPacketsSuccess = take(to, count);
    return request->dwPacketsSuccess > 0;
}

API BOOL WINAPI ReadPacketsUnsorted(HANDLE open, INTERMEDIATE_BUFFER **to, DWORD count, DWORD *success)
{
    if (!usable(open)) return refuse(ERROR_INVALID_HANDLE);
    *success = take(to, count);
    return *success > 0;
}

static BOOL send_frames(HANDLE open, int type, INTERMEDIATE_BUFFER **from, DWORD count, DWORD *success)
{
    *success = 0;
    if (!usable(open)) return refuse(ERROR_INVALID_HANDLE);
    for (; *success < count; ++*success) {
        INTERMEDIATE_BUFFER *frame = from[*success];
        EnterCriticalSection(&lock);
        int i = index_of(frame->m_hAdapter);
        LeaveCriticalSection(&lock);
        if (i < 0 || frame->m_Length > MAX_ETHER_FRAME || frame->m_Length < 14) return refuse(ERROR_INVALID_PARAMETER);
        if (type == TO_NETWORK && variable("SLUICE_NDISAPI_OFFLOAD", "checksums"))
            make_checksum(frame->m_IBuffer, frame->m_Length);
        if (!tell(type, i, frame->m_IBuffer, frame->m_Length)) return refuse(ERROR_GEN_FAILURE);
    }
    return TRUE;
}

API BOOL WINAPI SendPacketsToMstcpUnsorted(HANDLE open, INTERMEDIATE_BUFFER **from, DWORD count, DWORD *success)
{
    return send_frames(open, TO_HOST, from, count, success);
}

API BOOL WINAPI SendPacketsToAdaptersUnsorted(HANDLE open, INTERMEDIATE_BUFFER **from, DWORD count, DWORD *success)
{
    return send_frames(open, TO_NETWORK, from, count, success);
}

static BOOL add_section(HANDLE open, section_t *section, DWORD size)
{
    if (section_count == MAX_SECTIONS) return refuse(ERROR_INVALID_PARAMETER);
    section->word = 0;
    section->reading = 0;
    section_room[section_count] = (size - offsetof(section_t, frames)) / sizeof(INTERMEDIATE_BUFFER);
    sections[section_count++] = section;
    section_owner = open;
    return TRUE;
}

API BOOL WINAPI InitializeFastIo(HANDLE open, section_t *section, DWORD size)
{
    if (!usable(open)) return refuse(ERROR_INVALID_HANDLE);
    if (!section || size < sizeof(section_t) || variable("SLUICE_NDISAPI_SECTIONS", "none")) return FALSE;
    EnterCriticalSection(&lock);
    section_count = 0;
    BOOL added = add_section(open, section, size);
    LeaveCriticalSection(&lock);
    return added;
}

API BOOL WINAPI AddSecondaryFastIo(HANDLE open, section_t *section, DWORD size)
{
    if (!usable(open)) return refuse(ERROR_INVALID_HANDLE);
    if (!section || size < sizeof(section_t)) return FALSE;
    EnterCriticalSection(&lock);
    BOOL added = section_count > 0 ? add_section(open, section, size) : refuse(ERROR_INVALID_PARAMETER);
    LeaveCriticalSection(&lock);
    return added;
}

API BOOL WINAPI SetPacketFilterTable(HANDLE open, STATIC_FILTER_TABLE *table)
{
    if (!usable(open)) return refuse(ERROR_INVALID_HANDLE);
    if (table->m_TableSize > MAX_FILTERS) return refuse(ERROR_INVALID_PARAMETER);
    EnterCriticalSection(&lock);
    memcpy(filters, table->m_StaticFilters, table->m_TableSize * sizeof(STATIC_FILTER));
    filter_count = table->m_TableSize;
    filter_owner = open;
    LeaveCriticalSection(&lock);
    return TRUE;
}

API BOOL WINAPI ResetPacketFilterTable(HANDLE open)
{
    if (!usable(open)) return refuse(ERROR_INVALID_HANDLE);
    EnterCriticalSection(&lock);
    filter_count = 0;
    LeaveCriticalSection(&lock);
    return TRUE;
}

_Static_assert(sizeof(told_t) == 32 && sizeof(section_t) == 8 + sizeof(INTERMEDIATE_BUFFER), "packed");
