/*
 * A stand-in for wintun.dll (API 0.14) under Wine, where no driver can be loaded.
 * Written against the public API; it keeps to its documented limits and error
 * codes. Packets travel over a TCP connection on 127.0.0.1 to tun_bridge.ts, which
 * owns a Linux TUN interface of the adapter's name.
 *
 *     message    u32: type << 24 | length, then so many bytes
 *
 * Environment: SLUICE_WINTUN_BRIDGE is the bridge's port (7701).
 *
 * For tests: an adapter named standin-error-N cannot be made, with error N; one
 * named standin-flood-N has no bridge, gives packets of N bytes as fast as they are
 * read, and takes all that is written.
 *
 * Not like the driver: the LUID is the one that Wine's iphlpapi makes of the Linux
 * interface's index (type 23 instead of 53).
 */
#include <winsock2.h>
#include <windows.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>

enum { MESSAGE_PACKET, MESSAGE_CREATE, MESSAGE_CREATED, MESSAGE_START, MESSAGE_STOP, MESSAGE_STARTED = 6 };

#define LONGEST_PACKET 0xffffu
#define SMALLEST_RING 0x20000u
#define LARGEST_RING 0x4000000u
#define NAME_ROOM 128
#define TAKEN 0x80000000u /* handed out, not yet given back */
#define SLACK 0x20000u
#define SLICE (1 << 18)
#define SPINS 2000 /* some 50 us, as the driver does before it sleeps */
#define DEFAULT_PORT 7701

/* Packets as | u32 length | bytes, padding to 4 |. A packet that begins before the
 * ring's end goes on behind it, hence the slack. */
typedef struct {
    CRITICAL_SECTION lock;
    BYTE *data;
    uint32_t capacity;
    volatile uint32_t head; /* where the reader's room begins */
    volatile uint32_t tail; /* where the writer's room begins */
    uint32_t cursor;        /* first packet not handed out yet */
    uint32_t handed_out;    /* packets not given back yet */
} ring_t;

typedef struct session session_t;

typedef struct {
    WCHAR name[NAME_ROOM];
    uint64_t luid;
    SOCKET bridge;
    CRITICAL_SECTION lock;
    session_t *session;
    volatile LONG closed;
    uint32_t flood; /* length of its packets; 0 for an adapter with a bridge */
} adapter_t;

struct session {
    adapter_t *adapter;
    ring_t receiving, sending;
    HANDLE receivable, sendable;
    HANDLE receiver, sender;
    volatile LONG ended;
    volatile LONG sender_waits; /* Alertable: only then does sending set an event */
};

typedef VOID(CALLBACK *logger_t)(int level, DWORD64 time, LPCWSTR line);
enum { LOG_INFO, LOG_WARN, LOG_ERR };

static volatile logger_t logger;
static volatile LONG adapters, driver_loaded;

static void say(int level, const WCHAR *format, const WCHAR *about)
{
    logger_t to = logger;
    if (!to) return;
    WCHAR line[512];
    FILETIME now;
    _snwprintf(line, 511, format, about);
    line[511] = 0;
    GetSystemTimeAsFileTime(&now);
    to(level, (DWORD64)now.dwHighDateTime << 32 | now.dwLowDateTime, line);
}

/* --- the bridge ----------------------------------------------------------- */

static BOOL send_all(SOCKET to, const void *bytes, int length)
{
    const char *at = bytes;
    while (length > 0) {
        int sent = send(to, at, length, 0);
        if (sent <= 0) return FALSE;
        at += sent;
        length -= sent;
    }
    return TRUE;
}

static BOOL receive_all(SOCKET from, void *bytes, int length)
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

static BOOL send_message(SOCKET to, uint32_t type, const void *bytes, uint32_t length)
{
    uint32_t header = type << 24 | length;
    return send_all(to, &header, 4) && (length == 0 || send_all(to, bytes, (int)length));
}

static SOCKET connect_bridge(void)
{
    char text[16] = "";
    GetEnvironmentVariableA("SLUICE_WINTUN_BRIDGE", text, sizeof text);
    int port = atoi(text) ? atoi(text) : DEFAULT_PORT;
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons((u_short)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    SOCKET bridge = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    BOOL yes = TRUE;
    int room = 4 << 20;
    setsockopt(bridge, IPPROTO_TCP, TCP_NODELAY, (char *)&yes, sizeof yes);
    setsockopt(bridge, SOL_SOCKET, SO_RCVBUF, (char *)&room, sizeof room);
    setsockopt(bridge, SOL_SOCKET, SO_SNDBUF, (char *)&room, sizeof room);
    if (connect(bridge, (struct sockaddr *)&to, sizeof to) == 0) return bridge;
    closesocket(bridge);
    return INVALID_SOCKET;
}

/* --- adapters ------------------------------------------------------------- */

static adapter_t *failed(DWORD error, const WCHAR *text, const WCHAR *about)
{
    say(LOG_ERR, text, about);
    SetLastError(error);
    return NULL;
}

static void free_adapter(adapter_t *adapter)
{
    closesocket(adapter->bridge);
    DeleteCriticalSection(&adapter->lock);
    free(adapter);
}

__declspec(dllexport) adapter_t *WINAPI WintunCreateAdapter(LPCWSTR name, LPCWSTR type,
                                                           const GUID *guid)
{
    static const WCHAR error_name[] = L"standin-error-", flood_name[] = L"standin-flood-";
    (void)guid;
    if (!name || !*name || wcslen(name) >= NAME_ROOM || !type || wcslen(type) >= NAME_ROOM)
        return failed(ERROR_BUFFER_OVERFLOW, L"Name too long: %ls", L"");
    if (wcsncmp(name, error_name, wcslen(error_name)) == 0)
        return failed((DWORD)_wtoi(name + wcslen(error_name)), L"Refused %ls", name);
    BOOL floods = wcsncmp(name, flood_name, wcslen(flood_name)) == 0;
    SOCKET bridge = floods ? INVALID_SOCKET : connect_bridge();
    if (bridge == INVALID_SOCKET && !floods)
        return failed(ERROR_DEVICE_NOT_AVAILABLE, L"No bridge for %ls", name);
    char utf8[4 * NAME_ROOM];
    int length = WideCharToMultiByte(CP_UTF8, 0, name, -1, utf8, sizeof utf8, NULL, NULL) - 1;
    uint32_t answer[2] = {0, 1}; /* header; the interface's index, 0 where it is taken */
    if (floods) {
        length = 0;
    } else if (!send_message(bridge, MESSAGE_CREATE, utf8, (uint32_t)length) ||
        !receive_all(bridge, answer, sizeof answer) || answer[1] == 0) {
        closesocket(bridge);
        return failed(ERROR_ALREADY_EXISTS, L"The bridge refuses %ls", name);
    }
    adapter_t *adapter = calloc(1, sizeof *adapter);
    wcscpy(adapter->name, name);
    adapter->bridge = bridge;
    if (floods) adapter->flood = (uint32_t)_wtoi(name + wcslen(flood_name));
    adapter->luid = (uint64_t)23 << 48 | (uint64_t)answer[1] << 24;
    InitializeCriticalSection(&adapter->lock);
    InterlockedIncrement(&adapters);
    InterlockedExchange(&driver_loaded, TRUE);
    say(LOG_INFO, L"Created adapter %ls", name);
    return adapter;
}

/* Only adapters of other processes can be opened by name, and here there are none. */
__declspec(dllexport) adapter_t *WINAPI WintunOpenAdapter(LPCWSTR name)
{
    return failed(ERROR_NOT_FOUND, L"Failed to find matching adapter name: %ls", name);
}

__declspec(dllexport) VOID WINAPI WintunCloseAdapter(adapter_t *adapter)
{
    if (!adapter) return;
    say(LOG_INFO, L"Removed adapter %ls", adapter->name);
    InterlockedDecrement(&adapters);
    EnterCriticalSection(&adapter->lock);
    session_t *session = adapter->session;
    InterlockedExchange(&adapter->closed, TRUE);
    if (session) {
        InterlockedExchange(&session->ended, TRUE);
        SetEvent(session->receivable);
        SetEvent(session->sendable);
    }
    LeaveCriticalSection(&adapter->lock);
    shutdown(adapter->bridge, SD_BOTH);
    if (!session) free_adapter(adapter);
}

__declspec(dllexport) BOOL WINAPI WintunDeleteDriver(VOID)
{
    if (adapters > 0) {
        SetLastError(ERROR_DEVICE_IN_USE);
        return FALSE;
    }
    InterlockedExchange(&driver_loaded, FALSE);
    return TRUE;
}

__declspec(dllexport) VOID WINAPI WintunGetAdapterLUID(adapter_t *adapter, uint64_t *luid)
{
    *luid = adapter->luid;
}

__declspec(dllexport) DWORD WINAPI WintunGetRunningDriverVersion(VOID)
{
    if (driver_loaded) return 0 << 16 | 14;
    SetLastError(ERROR_FILE_NOT_FOUND);
    return 0;
}

__declspec(dllexport) VOID WINAPI WintunSetLogger(logger_t to)
{
    logger = to;
}

/* --- rings ---------------------------------------------------------------- */

static BOOL open_ring(ring_t *ring, uint32_t capacity)
{
    ring->capacity = capacity;
    ring->data = VirtualAlloc(NULL, (SIZE_T)capacity + SLACK,
                              MEM_COMMIT | MEM_RESERVE, PAGE_READWRITE);
    InitializeCriticalSectionAndSpinCount(&ring->lock, 0x1000);
    return ring->data != NULL;
}

static void close_ring(ring_t *ring)
{
    VirtualFree(ring->data, 0, MEM_RELEASE);
    DeleteCriticalSection(&ring->lock);
}

static uint32_t taken_by(uint32_t length)
{
    return (length + 4 + 3) & ~3u;
}

static uint32_t wrap(const ring_t *ring, uint32_t at)
{
    return at & (ring->capacity - 1);
}

static uint32_t *packet_at(const ring_t *ring, uint32_t at)
{
    return (uint32_t *)(ring->data + at);
}

/* Room from `from` to the head; a full ring keeps 4 bytes free. */
static BOOL has_room(const ring_t *ring, uint32_t from, uint32_t length)
{
    return taken_by(length) <= wrap(ring, ring->head - from - 4);
}

/* --- sessions ------------------------------------------------------------- */

static void end_session(session_t *session, const WCHAR *why)
{
    if (!InterlockedExchange(&session->ended, TRUE))
        say(LOG_WARN, L"Session ended: %ls", why);
    SetEvent(session->receivable);
    SetEvent(session->sendable);
}

/* What the driver does with a packet of the host: it is lost where the ring is full. */
static void indicate(ring_t *ring, const BYTE *bytes, uint32_t length)
{
    if (!has_room(ring, ring->tail, length)) return;
    uint32_t *packet = packet_at(ring, ring->tail);
    *packet = length;
    memcpy(packet + 1, bytes, length);
    MemoryBarrier();
    ring->tail = wrap(ring, ring->tail + taken_by(length));
}

/* Keeps the ring full, in place of the bridge. */
static void flood(session_t *session, uint32_t length)
{
    ring_t *ring = &session->receiving;
    BYTE *packet = calloc(1, length);
    packet[0] = 0x45;
    while (!session->ended) {
        BOOL any = FALSE;
        while (has_room(ring, ring->tail, length)) {
            indicate(ring, packet, length);
            any = TRUE;
        }
        if (any) SetEvent(session->receivable);
        else SwitchToThread();
    }
    free(packet);
}

static DWORD WINAPI receive_from_bridge(void *context)
{
    session_t *session = context;
    if (session->adapter->flood) {
        flood(session, session->adapter->flood);
        return 0;
    }
    BYTE *bytes = malloc(SLICE);
    int have = 0;
    for (;;) {
        int got = recv(session->adapter->bridge, (char *)bytes + have, SLICE - have, 0);
        if (got <= 0) break;
        have += got;
        int at = 0;
        for (uint32_t header; have - at >= 4; at += 4 + (int)(header & 0xffffff)) {
            memcpy(&header, bytes + at, 4);
            uint32_t length = header & 0xffffff;
            if (have - at < (int)(4 + length)) break;
            if (header >> 24 == MESSAGE_PACKET)
                indicate(&session->receiving, bytes + at + 4, length);
        }
        if (at > 0) SetEvent(session->receivable);
        memmove(bytes, bytes + at, (size_t)(have - at));
        have -= at;
    }
    free(bytes);
    end_session(session, L"the adapter is gone");
    return 0;
}

/* Whether the driver passes it on; what it doesn't vanishes without a word. */
static BOOL is_packet(const BYTE *bytes, uint32_t length)
{
    return (length >= 20 && bytes[0] >> 4 == 4) || (length >= 40 && bytes[0] >> 4 == 6);
}

static DWORD WINAPI send_to_bridge(void *context)
{
    session_t *session = context;
    ring_t *ring = &session->sending;
    BYTE *bytes = malloc(SLICE);
    for (;;) {
        uint32_t head = ring->head, tail = ring->tail, have = 0;
        if (head == tail) {
            if (session->ended) break;
            for (int i = 0; i < SPINS && ring->tail == tail; i++) YieldProcessor();
            if (ring->tail != tail) continue;
            InterlockedExchange(&session->sender_waits, TRUE);
            if (ring->tail == tail && !session->ended)
                WaitForSingleObject(session->sendable, INFINITE);
            InterlockedExchange(&session->sender_waits, FALSE);
            continue;
        }
        while (head != tail && have < SLICE - LONGEST_PACKET - 4) {
            uint32_t length = *packet_at(ring, head);
            if (length > LONGEST_PACKET) {
                end_session(session, L"a packet is longer than 65535 bytes");
                goto done;
            }
            const BYTE *packet = (const BYTE *)(packet_at(ring, head) + 1);
            if (is_packet(packet, length)) {
                memcpy(bytes + have, &length, 4);
                memcpy(bytes + have + 4, packet, length);
                have += 4 + length;
            }
            head = wrap(ring, head + taken_by(length));
        }
        MemoryBarrier();
        ring->head = head;
        if (have > 0 && !session->adapter->flood && !send_all(session->adapter->bridge, bytes, (int)have)) {
            end_session(session, L"the adapter is gone");
            break;
        }
    }
done:
    free(bytes);
    return 0;
}

__declspec(dllexport) session_t *WINAPI WintunStartSession(adapter_t *adapter, DWORD capacity)
{
    if (capacity < SMALLEST_RING || capacity > LARGEST_RING || (capacity & (capacity - 1)))
        return (session_t *)failed(ERROR_INVALID_PARAMETER, L"Failed to register rings%ls", L"");
    session_t *session = calloc(1, sizeof *session);
    session->adapter = adapter;
    session->receivable = CreateEventW(NULL, FALSE, FALSE, NULL);
    session->sendable = CreateEventW(NULL, FALSE, FALSE, NULL);
    open_ring(&session->receiving, capacity);
    open_ring(&session->sending, capacity);
    EnterCriticalSection(&adapter->lock);
    BOOL first = adapter->session == NULL;
    if (first) adapter->session = session;
    LeaveCriticalSection(&adapter->lock);
    if (!first) {
        CloseHandle(session->receivable);
        CloseHandle(session->sendable);
        close_ring(&session->receiving);
        close_ring(&session->sending);
        free(session);
        return (session_t *)failed(ERROR_ALREADY_INITIALIZED, L"Failed to register rings%ls", L"");
    }
    /* The interface is up when this returns, as an adapter is. */
    uint32_t started;
    send_message(adapter->bridge, MESSAGE_START, NULL, 0);
    if (!adapter->flood && (!receive_all(adapter->bridge, &started, 4) || started >> 24 != MESSAGE_STARTED))
        end_session(session, L"the bridge does not start");
    session->receiver = CreateThread(NULL, 0, receive_from_bridge, session, 0, NULL);
    session->sender = CreateThread(NULL, 0, send_to_bridge, session, 0, NULL);
    return session;
}

__declspec(dllexport) VOID WINAPI WintunEndSession(session_t *session)
{
    adapter_t *adapter = session->adapter;
    InterlockedExchange(&session->ended, TRUE);
    SetEvent(session->sendable);
    WaitForSingleObject(session->sender, INFINITE);
    send_message(adapter->bridge, MESSAGE_STOP, NULL, 0);
    shutdown(adapter->bridge, SD_BOTH); /* one session an adapter's life is enough here */
    WaitForSingleObject(session->receiver, INFINITE);
    CloseHandle(session->receiver);
    CloseHandle(session->sender);
    CloseHandle(session->receivable);
    CloseHandle(session->sendable);
    close_ring(&session->receiving);
    close_ring(&session->sending);
    EnterCriticalSection(&adapter->lock);
    adapter->session = NULL;
    LeaveCriticalSection(&adapter->lock);
    if (adapter->closed) free_adapter(adapter);
    free(session);
}

__declspec(dllexport) HANDLE WINAPI WintunGetReadWaitEvent(session_t *session)
{
    return session->receivable;
}

__declspec(dllexport) BYTE *WINAPI WintunReceivePacket(session_t *session, DWORD *length)
{
    ring_t *ring = &session->receiving;
    DWORD error = 0;
    uint32_t *packet = NULL;
    EnterCriticalSection(&ring->lock);
    if (session->ended) {
        error = ERROR_HANDLE_EOF;
    } else if (ring->cursor == ring->tail) {
        error = ERROR_NO_MORE_ITEMS;
    } else {
        packet = packet_at(ring, ring->cursor);
        *length = *packet;
        ring->cursor = wrap(ring, ring->cursor + taken_by(*packet));
        *packet |= TAKEN;
        ring->handed_out++;
    }
    LeaveCriticalSection(&ring->lock);
    if (error) SetLastError(error);
    return error ? NULL : (BYTE *)(packet + 1);
}

/* Room is given back in the order of receiving, up to the first packet still held. */
__declspec(dllexport) VOID WINAPI WintunReleaseReceivePacket(session_t *session, const BYTE *bytes)
{
    ring_t *ring = &session->receiving;
    EnterCriticalSection(&ring->lock);
    ((uint32_t *)bytes)[-1] &= ~TAKEN;
    uint32_t head = ring->head;
    while (ring->handed_out > 0) {
        uint32_t length = *packet_at(ring, head);
        if (length & TAKEN) break;
        head = wrap(ring, head + taken_by(length));
        ring->handed_out--;
    }
    MemoryBarrier();
    ring->head = head;
    LeaveCriticalSection(&ring->lock);
}

__declspec(dllexport) BYTE *WINAPI WintunAllocateSendPacket(session_t *session, DWORD length)
{
    ring_t *ring = &session->sending;
    DWORD error = 0;
    uint32_t *packet = NULL;
    EnterCriticalSection(&ring->lock);
    if (session->ended) {
        error = ERROR_HANDLE_EOF;
    } else if (length > SLACK - 8 || !has_room(ring, ring->cursor, length)) {
        error = ERROR_BUFFER_OVERFLOW;
    } else {
        packet = packet_at(ring, ring->cursor);
        *packet = length | TAKEN;
        ring->cursor = wrap(ring, ring->cursor + taken_by(length));
        ring->handed_out++;
    }
    LeaveCriticalSection(&ring->lock);
    if (error) SetLastError(error);
    return error ? NULL : (BYTE *)(packet + 1);
}

/* Packets leave in the order of allocation, up to the first that is not sent yet. */
__declspec(dllexport) VOID WINAPI WintunSendPacket(session_t *session, const BYTE *bytes)
{
    ring_t *ring = &session->sending;
    EnterCriticalSection(&ring->lock);
    ((uint32_t *)bytes)[-1] &= ~TAKEN;
    uint32_t tail = ring->tail;
    while (ring->handed_out > 0) {
        uint32_t length = *packet_at(ring, tail);
        if (length & TAKEN) break;
        tail = wrap(ring, tail + taken_by(length));
        ring->handed_out--;
    }
    MemoryBarrier();
    BOOL moved = ring->tail != tail;
    ring->tail = tail;
    LeaveCriticalSection(&ring->lock);
    MemoryBarrier();
    if (moved && session->sender_waits) SetEvent(session->sendable);
}

BOOL WINAPI DllMain(HINSTANCE instance, DWORD reason, LPVOID reserved)
{
    (void)instance, (void)reserved;
    WSADATA data;
    if (reason == DLL_PROCESS_ATTACH) WSAStartup(0x202, &data);
    return TRUE;
}
