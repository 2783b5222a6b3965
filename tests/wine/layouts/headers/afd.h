/*
 * The poll request of the socket driver. No header of the system has it; every
 * program that polls sockets by completion ports uses it as it stands here.
 */
#pragma once
#include <windows.h>
#include <winternl.h>

typedef struct _AFD_POLL_HANDLE_INFO {
  HANDLE Handle;
  ULONG Events;
  NTSTATUS Status;
} AFD_POLL_HANDLE_INFO;

typedef struct _AFD_POLL_INFO {
  LARGE_INTEGER Timeout;
  ULONG NumberOfHandles;
  ULONG Exclusive;
  AFD_POLL_HANDLE_INFO Handles[1];
} AFD_POLL_INFO;
