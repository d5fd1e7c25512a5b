#ifndef PLATFORM_BASE_STRINGS_H_
#define PLATFORM_BASE_STRINGS_H_

#include <string>
#include <string_view>

#include "absl/strings/string_view.h"

namespace runsc {

// Debian's Abseil has a string_view of its own; these convert at the calls into it and out of it.
inline absl::string_view ToAbsl(std::string_view s) { return {s.data(), s.size()}; }
inline std::string_view ToStd(absl::string_view s) { return {s.data(), s.size()}; }

// printf into a string.
std::string StrPrintf(const char* format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace runsc

#endif  // PLATFORM_BASE_STRINGS_H_
