#ifndef PLATFORM_ABI_POLL_H_
#define PLATFORM_ABI_POLL_H_

#include <cstdint>

// Kernel layouts of poll(2), select(2) and epoll(7) on x86-64.

namespace runsc::abi {

struct PollFd {
  int32_t fd;
  int16_t events;
  int16_t revents;
};

struct [[gnu::packed]] EpollEvent {
  uint32_t events;
  uint64_t data;
};

// The sixth argument of pselect6(2).
struct SigsetArgument {
  uint64_t set;  // address
  uint64_t size;
};

// epoll_pwait2 and ioctl EPIOCSPARAMS
struct EpollParams {
  uint32_t busy_poll_usecs;
  uint16_t busy_poll_budget;
  uint8_t prefer_busy_poll;
  uint8_t pad;
};

static_assert(sizeof(PollFd) == 8 && sizeof(EpollEvent) == 12);

}  // namespace runsc::abi

#endif  // PLATFORM_ABI_POLL_H_
