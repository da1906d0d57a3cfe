#pragma once
// Integers of the structs that BPF programs and C++ share. In a BPF program vmlinux.h comes first
// and has them, as far as some struct of the kernel uses them.

#ifdef __VMLINUX_H__
typedef __u8 uint8_t;
typedef __u16 uint16_t;
typedef __u32 uint32_t;
typedef __u64 uint64_t;
#else
#include <stdint.h>
#endif
