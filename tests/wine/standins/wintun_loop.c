/*
 * What a C program gets out of wintun.dll: the measure of our own device.
 *
 *     wintun_loop.exe DLL ADAPTER BYTES MILLISECONDS
 *
 * An adapter that floods is read, then written to, in turns of 256 packets, each
 * copied; any other gets echo requests, 64 at a time. Prints packets a second.
 */
#include <windows.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define TURN 256
#define ECHOES 64
#define SLOT 2048

typedef void *(WINAPI *create_t)(LPCWSTR, LPCWSTR, const GUID *);
typedef void *(WINAPI *start_t)(void *, DWORD);
typedef HANDLE(WINAPI *event_t)(void *);
typedef BYTE *(WINAPI *receive_t)(void *, DWORD *);
typedef void(WINAPI *give_t)(void *, const BYTE *);
typedef BYTE *(WINAPI *allocate_t)(void *, DWORD);
typedef void(WINAPI *end_t)(void *);

static receive_t receive_packet;
static give_t release_packet, send_packet;
static allocate_t allocate_packet;
static void *session;
static HANDLE readable;
static BYTE arena[TURN * SLOT];

static double now(void)
{
    LARGE_INTEGER count, frequency;
    QueryPerformanceCounter(&count);
    QueryPerformanceFrequency(&frequency);
    return (double)count.QuadPart / (double)frequency.QuadPart;
}

static int read_turn(void)
{
    int packets = 0;
    for (; packets < TURN; packets++) {
        DWORD length;
        BYTE *packet = receive_packet(session, &length);
        if (!packet) break;
        memcpy(arena + packets * SLOT, packet, length < SLOT ? length : SLOT);
        release_packet(session, packet);
    }
    if (packets == 0) WaitForSingleObject(readable, 100);
    return packets;
}

static int write_turn(int packets, DWORD length)
{
    int written = 0;
    for (int i = 0; i < packets; i++) {
        BYTE *packet = allocate_packet(session, length);
        if (!packet) continue;
        memcpy(packet, arena + i * SLOT, length);
        send_packet(session, packet);
        written++;
    }
    return written;
}

/* Echo requests from 10.88.0.2 to 10.88.0.1. */
static void prepare_echoes(void)
{
    static const BYTE header[20] = {0x45, 0, 0, 84, 0, 0, 0, 0, 64, 1, 0, 0, 10, 88, 0, 2, 10, 88, 0, 1};
    for (int i = 0; i < ECHOES; i++) {
        BYTE *packet = arena + i * SLOT;
        memset(packet, 0, 84);
        memcpy(packet, header, 20);
        uint32_t sum = 0;
        for (int at = 0; at < 20; at += 2) sum += (uint32_t)(packet[at] << 8 | packet[at + 1]);
        sum = (sum & 0xffff) + (sum >> 16);
        packet[10] = (BYTE)(~sum >> 8), packet[11] = (BYTE)~sum;
        packet[20] = 8, packet[22] = 0xf7, packet[23] = 0xff; /* the rest is zeros */
    }
}

static double echo(double seconds)
{
    double begin = now(), end = begin + seconds;
    long packets = 0;
    while (now() < end) {
        prepare_echoes();
        write_turn(ECHOES, 84);
        int answers = 0;
        for (double patience = now() + 1; answers < ECHOES && now() < patience;) answers += read_turn();
        packets += answers;
    }
    return (double)packets / (now() - begin);
}

int wmain(int count, WCHAR **arguments)
{
    if (count < 5) return 2;
    HMODULE library = LoadLibraryW(arguments[1]);
    if (!library) return 3;
#define FUNCTION(type, name) ((type)(void *)GetProcAddress(library, name))
    receive_packet = FUNCTION(receive_t, "WintunReceivePacket");
    release_packet = FUNCTION(give_t, "WintunReleaseReceivePacket");
    allocate_packet = FUNCTION(allocate_t, "WintunAllocateSendPacket");
    send_packet = FUNCTION(give_t, "WintunSendPacket");
    GUID guid = {0};
    void *adapter = FUNCTION(create_t, "WintunCreateAdapter")(arguments[2], L"loop", &guid);
    if (!adapter) return 4;
    session = FUNCTION(start_t, "WintunStartSession")(adapter, 1 << 23);
    readable = FUNCTION(event_t, "WintunGetReadWaitEvent")(session);
    DWORD length = (DWORD)_wtoi(arguments[3]);
    double seconds = _wtoi(arguments[4]) / 1000.0;
    if (wcsncmp(arguments[2], L"standin-flood", 13) != 0) {
        printf("{\"echo\":%.0f}\n", echo(seconds));
    } else {
        double begin = now();
        long packets = 0;
        while (now() < begin + seconds) packets += read_turn();
        double reads = (double)packets / (now() - begin);
        memset(arena, 0x45, sizeof arena);
        begin = now(), packets = 0;
        while (now() < begin + seconds) packets += write_turn(TURN, length);
        printf("{\"read\":%.0f,\"write\":%.0f}\n", reads, (double)packets / (now() - begin));
    }
    fflush(stdout);
    FUNCTION(end_t, "WintunEndSession")(session);
    FUNCTION(end_t, "WintunCloseAdapter")(adapter);
    return 0;
}
