#include "platform/host/error.h"

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace runsc {
namespace {

std::string Format(const char* format, va_list args) {
  char text[2048];
  std::vsnprintf(text, sizeof(text), format, args);
  return text;
}

}  // namespace

HostError SysError(const char* format, ...) {
  int code = errno;
  va_list args;
  va_start(args, format);
  std::string text = Format(format, args);
  va_end(args);
  char why[128];
  return {text + ": " + strerror_r(code, why, sizeof(why)), code};
}

HostError TextError(const char* format, ...) {
  va_list args;
  va_start(args, format);
  std::string text = Format(format, args);
  va_end(args);
  return {text, 0};
}

}  // namespace runsc
