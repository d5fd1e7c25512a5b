#ifndef PLATFORM_ARCH_XSAVE_LAYOUT_H_
#define PLATFORM_ARCH_XSAVE_LAYOUT_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace runsc::arch {

// Where things are in an XSAVE area in standard format (Intel SDM volume 1, chapter 13).
inline constexpr size_t kFcwOffset = 0;
inline constexpr size_t kMxcsrOffset = 24;
inline constexpr size_t kMxcsrMaskOffset = 28;
inline constexpr size_t kSwReservedOffset = 464;  // Linux: struct _fpx_sw_bytes in signal frames
inline constexpr size_t kFxsaveSize = 512;
inline constexpr size_t kXstateBvOffset = 512;
inline constexpr size_t kXcompBvOffset = 520;
inline constexpr size_t kXsaveHeaderEnd = 576;

inline constexpr uint64_t kXfeatureX87 = 1;
inline constexpr uint64_t kXfeatureSse = 2;
// Features that Linux leaves off until a process asks by arch_prctl(ARCH_REQ_XCOMP_PERM), which no
// guest may: AMX tile data.
inline constexpr uint64_t kXfeaturesDynamic = uint64_t{1} << 18;

// Bits that may be set in MXCSR on this CPU.
uint32_t MxcsrMask();

template <typename T>
T LoadAt(const uint8_t* base, size_t offset) {
  T v;
  std::memcpy(&v, base + offset, sizeof(v));
  return v;
}

template <typename T>
void StoreAt(uint8_t* base, size_t offset, T v) {
  std::memcpy(base + offset, &v, sizeof(v));
}

}  // namespace runsc::arch

#endif  // PLATFORM_ARCH_XSAVE_LAYOUT_H_
