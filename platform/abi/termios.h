#ifndef PLATFORM_ABI_TERMIOS_H_
#define PLATFORM_ABI_TERMIOS_H_

#include <cstddef>
#include <cstdint>

// Kernel layouts of terminals (include/uapi/asm-generic/termbits.h), which differ from glibc's.

namespace runsc::abi {

inline constexpr int kNcc = 19;

// TCGETS, TCSETS...
struct Termios {
  uint32_t iflag, oflag, cflag, lflag;
  uint8_t line;
  uint8_t cc[kNcc];
};

// TCGETS2, TCSETS2...
struct Termios2 {
  uint32_t iflag, oflag, cflag, lflag;
  uint8_t line;
  uint8_t cc[kNcc];
  uint32_t ispeed, ospeed;
};

// TCGETA, TCSETA...: System V's, the low halves of the flags and the first control characters.
struct Termio {
  uint16_t iflag, oflag, cflag, lflag;
  uint8_t line;
  uint8_t cc[8];
};

inline Termio ToTermio(const Termios2& t) {
  Termio out{static_cast<uint16_t>(t.iflag), static_cast<uint16_t>(t.oflag),
             static_cast<uint16_t>(t.cflag), static_cast<uint16_t>(t.lflag), t.line, {}};
  for (size_t i = 0; i < sizeof(out.cc); ++i) out.cc[i] = t.cc[i];
  return out;
}

// `old` with what a Termio can say taken from `t`.
inline Termios2 WithTermio(Termios2 old, const Termio& t) {
  constexpr uint32_t kHigh = 0xffff0000;
  old.iflag = (old.iflag & kHigh) | t.iflag;
  old.oflag = (old.oflag & kHigh) | t.oflag;
  old.cflag = (old.cflag & kHigh) | t.cflag;
  old.lflag = (old.lflag & kHigh) | t.lflag;
  old.line = t.line;
  for (size_t i = 0; i < sizeof(t.cc); ++i) old.cc[i] = t.cc[i];
  return old;
}

struct Winsize {
  uint16_t row, col, xpixel, ypixel;
};

// Indices into cc
enum ControlChar : int {
  kVintr = 0, kVquit = 1, kVerase = 2, kVkill = 3, kVeof = 4, kVtime = 5, kVmin = 6, kVswtc = 7,
  kVstart = 8, kVstop = 9, kVsusp = 10, kVeol = 11, kVreprint = 12, kVdiscard = 13, kVwerase = 14,
  kVlnext = 15, kVeol2 = 16,
};

// ioctl(2) commands whose numbers hold the size of Termios2; glibc cannot give them.
inline constexpr uint32_t kTcgets2 = 0x802c542a;
inline constexpr uint32_t kTcsets2 = 0x402c542b;
inline constexpr uint32_t kTcsetsw2 = 0x402c542c;
inline constexpr uint32_t kTcsetsf2 = 0x402c542d;

static_assert(sizeof(Termio) == 18 && sizeof(Termios) == 36 && sizeof(Termios2) == 44);

}  // namespace runsc::abi

#endif  // PLATFORM_ABI_TERMIOS_H_
