/*
 * A stand-in for the wait completion packets of ntdll.dll, which Wine 10 lacks:
 * an object that is signalled makes one entry in a completion port. Written by
 * their public description; waiting is done by the thread pool.
 *
 * Not like the system: a packet that is already in the port is not taken out by
 * cancelling it.
 */
#include <windows.h>

#define STATUS_SUCCESS_ 0
#define STATUS_PENDING_ 0x103
#define STATUS_INVALID_HANDLE_ ((LONG)0xc0000008)
#define STATUS_INVALID_PARAMETER_1_ ((LONG)0xc00000ef)
#define STATUS_INVALID_PARAMETER_3_ ((LONG)0xc00000f1)
#define STATUS_NO_MEMORY_ ((LONG)0xc0000017)
#define PACKETS 256

/* A packet's handle is that of an event of its own, so that CloseHandle takes it. */
typedef struct {
    HANDLE handle;
    HANDLE wait;
    HANDLE port;
    ULONG_PTR key;
    OVERLAPPED *overlapped;
    DWORD information;
    volatile LONG fired;
} PACKET;

static PACKET packets[PACKETS];
static SRWLOCK lock = SRWLOCK_INIT;

static PACKET *find(HANDLE handle)
{
    for (int i = 0; i < PACKETS; i++)
        if (packets[i].handle == handle && handle) return &packets[i];
    return NULL;
}

static void CALLBACK signalled(void *context, BOOLEAN timed_out)
{
    PACKET *packet = context;
    (void)timed_out;
    InterlockedExchange(&packet->fired, 1);
    PostQueuedCompletionStatus(packet->port, packet->information, packet->key, packet->overlapped);
}

/* Ends the wait of a packet; the callback has run or never will. */
static LONG end_wait(PACKET *packet)
{
    if (!packet->wait) return STATUS_SUCCESS_;
    UnregisterWaitEx(packet->wait, INVALID_HANDLE_VALUE);
    packet->wait = NULL;
    return packet->fired ? STATUS_PENDING_ : STATUS_SUCCESS_;
}

__declspec(dllexport) LONG NTAPI NtCreateWaitCompletionPacket(HANDLE *handle, ACCESS_MASK access,
                                                             void *attributes)
{
    LONG status = STATUS_NO_MEMORY_;
    (void)access;
    (void)attributes;
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    AcquireSRWLockExclusive(&lock);
    /* A handle that was closed and is given out again is a new packet. */
    PACKET *packet = find(event);
    for (int i = 0; !packet && i < PACKETS; i++)
        if (!packets[i].handle) packet = &packets[i];
    if (packet) {
        end_wait(packet);
        ZeroMemory(packet, sizeof *packet);
        packet->handle = event;
        *handle = event;
        status = STATUS_SUCCESS_;
    }
    ReleaseSRWLockExclusive(&lock);
    return status;
}

__declspec(dllexport) LONG NTAPI NtAssociateWaitCompletionPacket(
    HANDLE handle, HANDLE port, HANDLE target, void *key, void *apc, LONG io_status,
    ULONG_PTR information, BOOLEAN *already_signalled)
{
    LONG status = STATUS_INVALID_HANDLE_;
    (void)io_status;
    if (already_signalled) *already_signalled = FALSE;
    AcquireSRWLockExclusive(&lock);
    PACKET *packet = find(handle);
    if (packet && packet->wait && !packet->fired) status = STATUS_INVALID_PARAMETER_1_;
    else if (packet) {
        end_wait(packet);
        packet->port = port;
        packet->key = (ULONG_PTR)key;
        packet->overlapped = apc;
        packet->information = (DWORD)information;
        packet->fired = 0;
        if (WaitForSingleObject(target, 0) == WAIT_OBJECT_0) {
            if (already_signalled) *already_signalled = TRUE;
            signalled(packet, FALSE);
            status = STATUS_SUCCESS_;
        } else {
            status = RegisterWaitForSingleObject(&packet->wait, target, signalled, packet, INFINITE,
                                                 WT_EXECUTEONLYONCE | WT_EXECUTEINWAITTHREAD)
                         ? STATUS_SUCCESS_
                         : STATUS_INVALID_PARAMETER_3_;
        }
    }
    ReleaseSRWLockExclusive(&lock);
    return status;
}

__declspec(dllexport) LONG NTAPI NtCancelWaitCompletionPacket(HANDLE handle, BOOLEAN remove_signalled)
{
    LONG status = STATUS_INVALID_HANDLE_;
    (void)remove_signalled;
    AcquireSRWLockExclusive(&lock);
    PACKET *packet = find(handle);
    if (packet) status = end_wait(packet);
    ReleaseSRWLockExclusive(&lock);
    return status;
}
