#ifndef PLATFORM_SYSTRAP_SELF_TEST_H_
#define PLATFORM_SYSTRAP_SELF_TEST_H_

#include <optional>
#include <string>

#include "platform/api/platform.h"

namespace runsc::platform::systrap {

// Runs a system call and a page fault of guest code on a platform made by `create`, in a child
// process. What went wrong, or nullopt.
std::optional<std::string> SelfTest(
    ErrnoOr<std::unique_ptr<Platform>> (*create)(const PlatformOptions&, std::string* why));

}  // namespace runsc::platform::systrap

#endif  // PLATFORM_SYSTRAP_SELF_TEST_H_
