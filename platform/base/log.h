#ifndef PLATFORM_BASE_LOG_H_
#define PLATFORM_BASE_LOG_H_

#include <string>

namespace runsc {

enum class LogLevel : int { kError = -1, kWarning = 0, kInfo = 1, kDebug = 2 };
enum class LogFormat { kText, kJson, kJsonK8s };

// Sends log lines to `fd` (owned by the caller, kept open; -1: nowhere, the default) at `level`
// and below. May be called again.
void LogSetup(int fd, LogLevel level, LogFormat format);
bool LogEnabled(LogLevel level);
// Writes one line with one write(2); never allocates under a lock and never fails.
void LogWrite(LogLevel level, const char* format, ...) __attribute__((format(printf, 2, 3)));
// Writes one line of level error to `fd`, wherever the log goes: for the file that engines read.
void LogErrorTo(int fd, LogFormat format, const char* message);
// Logs the text, writes it to stderr, and aborts. For broken invariants of ours, never for what a
// guest, gofer or caller does.
[[noreturn]] void Panic(const char* format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace runsc

#define LOG_WARNING(...) ::runsc::LogWrite(::runsc::LogLevel::kWarning, __VA_ARGS__)
#define LOG_INFO(...)                                     \
  (::runsc::LogEnabled(::runsc::LogLevel::kInfo)          \
       ? ::runsc::LogWrite(::runsc::LogLevel::kInfo, __VA_ARGS__) \
       : (void)0)
#define LOG_DEBUG(...)                                    \
  (::runsc::LogEnabled(::runsc::LogLevel::kDebug)         \
       ? ::runsc::LogWrite(::runsc::LogLevel::kDebug, __VA_ARGS__) \
       : (void)0)
// Panics unless `cond` holds.
#define CHECK_OR_PANIC(cond) \
  (__builtin_expect(!(cond), 0) ? ::runsc::Panic("%s:%d: " #cond, __FILE__, __LINE__) : (void)0)

#endif  // PLATFORM_BASE_LOG_H_
