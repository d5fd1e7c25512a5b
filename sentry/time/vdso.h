#ifndef SENTRY_TIME_VDSO_H_
#define SENTRY_TIME_VDSO_H_

#include <cstdint>
#include <span>

namespace runsc {

// The ELF image that every program gets at AT_SYSINFO_EHDR, whole pages: map it readable and
// executable, and the data page (TimeKeeper::AttachPage), readable, right before it.
std::span<const uint8_t> VdsoImage();

}  // namespace runsc

#endif  // SENTRY_TIME_VDSO_H_
