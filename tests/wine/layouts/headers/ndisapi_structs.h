/*
 * Structs of ndisapi.dll 3.6 (x64), declared anew after its published headers:
 * packed, for frames of MAX_ETHER_FRAME bytes.
 */
#ifndef NDISAPI_STRUCTS_H
#define NDISAPI_STRUCTS_H

#include <windows.h>

#ifndef MAX_ETHER_FRAME
#define MAX_ETHER_FRAME 1514
#endif
#define ADAPTER_LIST_SIZE 32
#define ADAPTER_NAME_SIZE 256
#define ETHER_ADDR_LENGTH 6

#pragma pack(push, 1)

typedef struct {
    DWORD m_nAdapterCount;
    UCHAR m_szAdapterNameList[ADAPTER_LIST_SIZE][ADAPTER_NAME_SIZE];
    HANDLE m_nAdapterHandle[ADAPTER_LIST_SIZE];
    UINT m_nAdapterMediumList[ADAPTER_LIST_SIZE];
    UCHAR m_czCurrentAddress[ADAPTER_LIST_SIZE][ETHER_ADDR_LENGTH];
    USHORT m_usMTU[ADAPTER_LIST_SIZE];
} TCP_AdapterList;

typedef struct {
    union {
        HANDLE m_hAdapter;
        LIST_ENTRY m_qLink;
    };
    ULONG m_dwDeviceFlags;
    ULONG m_Length;
    ULONG m_Flags;
    ULONG m_8021q;
    ULONG m_FilterID;
    ULONG m_Reserved[4];
    UCHAR m_IBuffer[MAX_ETHER_FRAME];
} INTERMEDIATE_BUFFER;

typedef struct {
    HANDLE hAdapterHandle;
    INTERMEDIATE_BUFFER *EthPacket;
} ETH_REQUEST;

typedef struct {
    HANDLE hAdapterHandle;
    UINT dwPacketsNumber;
    UINT dwPacketsSuccess;
    INTERMEDIATE_BUFFER *EthPacket[1];
} ETH_M_REQUEST;

typedef struct {
    HANDLE hAdapterHandle;
    ULONG dwFlags;
} ADAPTER_MODE;

typedef struct {
    ULONG m_ValidFields;
    UCHAR m_SrcAddress[ETHER_ADDR_LENGTH];
    UCHAR m_DestAddress[ETHER_ADDR_LENGTH];
    USHORT m_Protocol;
    USHORT Padding;
} ETH_802_3_FILTER;

typedef struct {
    ULONG m_Ip;
    ULONG m_IpMask;
} IP_SUBNET_V4;

typedef struct {
    ULONG m_AddressType;
    IP_SUBNET_V4 m_IpSubnet;
} IP_ADDRESS_V4;

typedef struct {
    ULONG m_ValidFields;
    IP_ADDRESS_V4 m_SrcAddress;
    IP_ADDRESS_V4 m_DestAddress;
    UCHAR m_Protocol;
    UCHAR Padding[3];
} IP_V4_FILTER;

typedef struct {
    UCHAR m_Ip[16];
    UCHAR m_IpMask[16];
} IP_SUBNET_V6;

typedef struct {
    ULONG m_AddressType;
    IP_SUBNET_V6 m_IpSubnet;
} IP_ADDRESS_V6;

typedef struct {
    ULONG m_ValidFields;
    IP_ADDRESS_V6 m_SrcAddress;
    IP_ADDRESS_V6 m_DestAddress;
    UCHAR m_Protocol;
    UCHAR Padding[3];
} IP_V6_FILTER;

typedef struct {
    USHORT m_StartRange;
    USHORT m_EndRange;
} PORT_RANGE;

typedef struct {
    ULONG m_ValidFields;
    PORT_RANGE m_SourcePort;
    PORT_RANGE m_DestPort;
    UCHAR m_TCPFlags;
    UCHAR Padding[3];
} TCPUDP_FILTER;

typedef struct {
    ULONG m_dwUnionSelector;
    ETH_802_3_FILTER m_Eth8023Filter;
} DATA_LINK_LAYER_FILTER;

typedef struct {
    ULONG m_dwUnionSelector;
    union {
        IP_V4_FILTER m_IPv4;
        IP_V6_FILTER m_IPv6;
    };
} NETWORK_LAYER_FILTER;

typedef struct {
    ULONG m_dwUnionSelector;
    TCPUDP_FILTER m_TcpUdp;
} TRANSPORT_LAYER_FILTER;

typedef struct {
    ULARGE_INTEGER m_Adapter;
    ULONG m_dwDirectionFlags;
    ULONG m_FilterAction;
    ULONG m_ValidFields;
    ULONG m_LastReset;
    ULARGE_INTEGER m_PacketsIn;
    ULARGE_INTEGER m_BytesIn;
    ULARGE_INTEGER m_PacketsOut;
    ULARGE_INTEGER m_BytesOut;
    DATA_LINK_LAYER_FILTER m_DataLinkFilter;
    NETWORK_LAYER_FILTER m_NetworkFilter;
    TRANSPORT_LAYER_FILTER m_TransportFilter;
} STATIC_FILTER;

typedef struct {
    ULONG m_TableSize;
    ULONG m_Padding;
    STATIC_FILTER m_StaticFilters[1];
} STATIC_FILTER_TABLE;

typedef struct {
    USHORT number_of_packets;
    USHORT write_in_progress_flag;
    ULONG read_in_progress_flag;
} FAST_IO_SECTION_HEADER;

#pragma pack(pop)

#endif
