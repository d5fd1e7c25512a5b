#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "platform/base/log.h"

namespace runsc {
namespace {

std::atomic<int> g_fd{-1};
std::atomic<int> g_level{-1};
std::atomic<LogFormat> g_format{LogFormat::kText};

constexpr size_t kMaxLine = 4096;

const char* LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kError: return "error";
    case LogLevel::kWarning: return "warning";
    case LogLevel::kInfo: return "info";
    case LogLevel::kDebug: return "debug";
  }
  return "?";
}

// gmtime_r(3) of the C library opens the time zone's file the first time, which a sentry may not.
tm CivilTime(time_t seconds) {
  tm out{};
  int64_t days = seconds / 86400, rest = seconds % 86400;
  out.tm_hour = static_cast<int>(rest / 3600);
  out.tm_min = static_cast<int>(rest / 60 % 60);
  out.tm_sec = static_cast<int>(rest % 60);
  // Years start in March here, so that a leap day is the last of a year.
  days += 719468;
  int64_t era = days / 146097, day_of_era = days % 146097;
  int64_t year = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  int64_t day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
  int64_t month = (5 * day_of_year + 2) / 153;
  out.tm_mday = static_cast<int>(day_of_year - (153 * month + 2) / 5 + 1);
  out.tm_mon = static_cast<int>(month < 10 ? month + 2 : month - 10);
  out.tm_year = static_cast<int>(year + era * 400 + (month >= 10 ? 1 : 0) - 1900);
  return out;
}

// Escapes `in` for a JSON string; truncates to fit.
void JsonEscape(const char* in, char* out, size_t size) {
  size_t n = 0;
  for (; *in != '\0' && n + 7 < size; ++in) {
    unsigned char c = static_cast<unsigned char>(*in);
    if (c == '"' || c == '\\') {
      out[n++] = '\\';
      out[n++] = static_cast<char>(c);
    } else if (c < 0x20) {
      n += static_cast<size_t>(std::snprintf(out + n, 7, "\\u%04x", c));
    } else {
      out[n++] = static_cast<char>(c);
    }
  }
  out[n] = '\0';
}

size_t FormatLine(LogFormat format, LogLevel level, const char* message, char* line, size_t size) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  tm parts = CivilTime(now.tv_sec);
  int n = 0;
  if (format == LogFormat::kText) {
    n = std::snprintf(line, size, "%c%02d%02d %02d:%02d:%02d.%06ld %7d] %s\n",
                      static_cast<char>(LevelName(level)[0] - 'a' + 'A'), parts.tm_mon + 1,
                      parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, now.tv_nsec / 1000,
                      static_cast<int>(syscall(SYS_gettid)), message);
  } else {
    char escaped[kMaxLine];
    JsonEscape(message, escaped, sizeof(escaped) - 160);
    bool k8s = format == LogFormat::kJsonK8s;
    n = std::snprintf(line, size,
                      "{\"%s\":\"%s\",\"level\":\"%s\","
                      "\"%s\":\"%04d-%02d-%02dT%02d:%02d:%02d.%09ldZ\"}\n",
                      k8s ? "log" : "msg", escaped, LevelName(level), k8s ? "time" : "time",
                      parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour,
                      parts.tm_min, parts.tm_sec, now.tv_nsec);
  }
  size_t length = static_cast<size_t>(n < 0 ? 0 : n);
  if (length >= size) {
    length = size - 1;
    line[length - 1] = '\n';
  }
  return length;
}

void WriteLine(LogLevel level, const char* message) {
  int fd = g_fd.load(std::memory_order_relaxed);
  if (fd < 0) return;
  char line[kMaxLine];
  size_t length = FormatLine(g_format.load(std::memory_order_relaxed), level, message, line, sizeof(line));
  ssize_t ignored = write(fd, line, length);
  (void)ignored;
}

}  // namespace

void LogSetup(int fd, LogLevel level, LogFormat format) {
  g_format = format;
  g_level = static_cast<int>(level);
  g_fd = fd;
}

bool LogEnabled(LogLevel level) {
  return g_fd.load(std::memory_order_relaxed) >= 0 &&
         static_cast<int>(level) <= g_level.load(std::memory_order_relaxed);
}

void LogWrite(LogLevel level, const char* format, ...) {
  if (!LogEnabled(level)) return;
  char message[kMaxLine - 128];
  va_list args;
  va_start(args, format);
  std::vsnprintf(message, sizeof(message), format, args);
  va_end(args);
  WriteLine(level, message);
}

void LogErrorTo(int fd, LogFormat format, const char* message) {
  char line[kMaxLine];
  size_t length = FormatLine(format, LogLevel::kError, message, line, sizeof(line));
  ssize_t ignored = write(fd, line, length);
  (void)ignored;
}

void Panic(const char* format, ...) {
  char message[1024];
  va_list args;
  va_start(args, format);
  std::vsnprintf(message, sizeof(message), format, args);
  va_end(args);
  WriteLine(LogLevel::kWarning, message);
  char line[1100];
  int n = std::snprintf(line, sizeof(line), "runsc: panic: %s\n", message);
  ssize_t ignored = write(STDERR_FILENO, line, static_cast<size_t>(n));
  (void)ignored;
  std::abort();
}

}  // namespace runsc
