#ifndef PLATFORM_BASE_THREAD_ANNOTATIONS_H_
#define PLATFORM_BASE_THREAD_ANNOTATIONS_H_

// Clang thread-safety attributes under Abseil's names, without an Abseil header in every header.
#include "absl/base/thread_annotations.h"

#endif  // PLATFORM_BASE_THREAD_ANNOTATIONS_H_
