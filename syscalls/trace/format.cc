#include "syscalls/trace/format.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <iterator>
#include <vector>

#include "platform/base/strings.h"

namespace runsc {
namespace {

struct FlagName {
  uint64_t bits;
  const char* name;
};

constexpr FlagName kOpenFlags[] = {
    {O_APPEND, "O_APPEND"},       {O_CLOEXEC, "O_CLOEXEC"},   {O_CREAT, "O_CREAT"},
    {O_DIRECTORY, "O_DIRECTORY"}, {O_EXCL, "O_EXCL"},         {O_NOCTTY, "O_NOCTTY"},
    {O_NOFOLLOW, "O_NOFOLLOW"},   {O_NONBLOCK, "O_NONBLOCK"}, {O_PATH, "O_PATH"},
    {O_TRUNC, "O_TRUNC"},         {0100000, "O_LARGEFILE"},
};
constexpr FlagName kMapFlags[] = {
    {MAP_SHARED, "MAP_SHARED"},       {MAP_PRIVATE, "MAP_PRIVATE"},
    {MAP_FIXED, "MAP_FIXED"},         {MAP_ANONYMOUS, "MAP_ANONYMOUS"},
    {MAP_GROWSDOWN, "MAP_GROWSDOWN"}, {MAP_NORESERVE, "MAP_NORESERVE"},
    {MAP_POPULATE, "MAP_POPULATE"},   {MAP_STACK, "MAP_STACK"},
    {MAP_DENYWRITE, "MAP_DENYWRITE"}, {MAP_FIXED_NOREPLACE, "MAP_FIXED_NOREPLACE"},
};
constexpr FlagName kProtFlags[] = {
    {PROT_READ, "PROT_READ"}, {PROT_WRITE, "PROT_WRITE"}, {PROT_EXEC, "PROT_EXEC"}};

template <size_t N>
std::string Flags(uint64_t value, const FlagName (&names)[N], const char* zero) {
  std::string out;
  for (const FlagName& f : names) {
    if ((value & f.bits) != f.bits) continue;
    if (!out.empty()) out += "|";
    out += f.name;
    value &= ~f.bits;
  }
  if (value != 0) {
    if (!out.empty()) out += "|";
    out += StrPrintf("%#llx", static_cast<unsigned long long>(value));
  }
  return out.empty() ? zero : out;
}

std::string OpenFlags(uint64_t value) {
  const char* access[] = {"O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"};
  std::string rest = Flags(value & ~uint64_t{3}, kOpenFlags, "");
  return rest.empty() ? access[value & 3] : std::string(access[value & 3]) + "|" + rest;
}

std::string Escape(const char* data, size_t n, bool more) {
  std::string out = "\"";
  for (size_t i = 0; i < n; ++i) {
    unsigned char c = static_cast<unsigned char>(data[i]);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c >= 0x20 && c < 0x7f) {
      out += static_cast<char>(c);
    } else {
      out += StrPrintf("\\x%02x", c);
    }
  }
  return out + (more ? "\"..." : "\"");
}

std::string Pointer(uint64_t v) {
  return v == 0 ? "NULL" : StrPrintf("%#llx", static_cast<unsigned long long>(v));
}

std::string Text(UserMemory& mem, uint64_t value, size_t limit) {
  if (value == 0) return "NULL";
  ErrnoOr<std::string> s = mem.GetString(UserAddr(value), std::max<size_t>(limit, 1));
  if (s.ok()) return Escape(s->data(), s->size(), false);
  if (s.error() == Errno::kNametoolong) return FormatBuffer(mem, UserAddr(value), limit, limit);
  return Pointer(value);
}

std::string Arguments(UserMemory& mem, uint64_t value, size_t limit) {
  if (value == 0) return "NULL";
  std::string out = "[";
  for (int i = 0; i < 32; ++i) {
    ErrnoOr<uint64_t> p = mem.Get<uint64_t>(UserAddr(value) + static_cast<uint64_t>(i) * 8);
    if (!p.ok()) return Pointer(value);
    if (*p == 0) return out + "]";
    if (i != 0) out += ", ";
    out += Text(mem, *p, limit);
  }
  return out + ", ...]";
}

std::string TimeSpec(UserMemory& mem, uint64_t value) {
  if (value == 0) return "NULL";
  ErrnoOr<timespec> ts = mem.Get<timespec>(UserAddr(value));
  if (!ts.ok()) return Pointer(value);
  return StrPrintf("{%lld.%09lld}", static_cast<long long>(ts->tv_sec),
                   static_cast<long long>(ts->tv_nsec));
}

std::string SignalText(uint64_t value) {
  const char* name = value < 65 ? sigabbrev_np(static_cast<int>(value)) : nullptr;
  return name == nullptr ? StrPrintf("%d", static_cast<int>(value)) : StrPrintf("SIG%s", name);
}

std::string FutexOp(uint64_t value) {
  static constexpr const char* kNames[] = {
      "WAIT",        "WAKE",       "FD",          "REQUEUE",     "CMP_REQUEUE",
      "WAKE_OP",     "LOCK_PI",    "UNLOCK_PI",   "TRYLOCK_PI",  "WAIT_BITSET",
      "WAKE_BITSET", "WAIT_REQUEUE_PI", "CMP_REQUEUE_PI", "LOCK_PI2"};
  uint64_t op = value & FUTEX_CMD_MASK;
  std::string out = op < std::size(kNames) ? std::string("FUTEX_") + kNames[op] : Pointer(op);
  if ((value & FUTEX_PRIVATE_FLAG) != 0) out += "|PRIVATE";
  if ((value & FUTEX_CLOCK_REALTIME) != 0) out += "|REALTIME";
  return out;
}

std::string Scalar(std::string_view kind, uint64_t value) {
  if (kind == "fd") {
    int fd = static_cast<int>(value);
    return fd == AT_FDCWD ? "AT_FDCWD" : StrPrintf("%d", fd);
  }
  if (kind == "i") return StrPrintf("%lld", static_cast<long long>(value));
  if (kind == "u") return StrPrintf("%llu", static_cast<unsigned long long>(value));
  if (kind == "mode") return StrPrintf("%#o", static_cast<unsigned>(value));
  if (kind == "x") return StrPrintf("%#llx", static_cast<unsigned long long>(value));
  if (kind == "oflags") return OpenFlags(value);
  if (kind == "mflags") return Flags(value, kMapFlags, "0");
  if (kind == "prot") return Flags(value, kProtFlags, "PROT_NONE");
  if (kind == "sig") return SignalText(value);
  if (kind == "futex") return FutexOp(value);
  return Pointer(value);
}

}  // namespace

TraceArgument NextTraceArgument(std::string_view& rest) {
  size_t space = rest.find(' ');
  std::string_view one = rest.substr(0, space);
  rest = space == std::string_view::npos ? std::string_view() : rest.substr(space + 1);
  size_t colon = one.find(':');
  if (colon == std::string_view::npos) return {one, "p"};
  return {one.substr(0, colon), one.substr(colon + 1)};
}

std::string FormatBuffer(UserMemory& mem, UserAddr addr, uint64_t size, size_t limit) {
  std::vector<char> bytes(std::min<uint64_t>(size, limit));
  if (bytes.empty()) return "\"\"";
  ErrnoOr<size_t> n = mem.CopyInPartial(bytes.data(), addr, bytes.size());
  if (!n.ok()) return Pointer(addr.value);
  return Escape(bytes.data(), *n, size > *n);
}

std::string FormatTraceArgument(UserMemory& mem, const TraceArgument& arg, uint64_t value,
                                uint64_t next, size_t limit) {
  std::string_view kind = arg.kind;
  if (kind == "path" || kind == "str") return Text(mem, value, std::max<size_t>(limit, 256));
  if (kind == "in") return FormatBuffer(mem, UserAddr(value), next, limit);
  if (kind == "argv") return Arguments(mem, value, limit);
  if (kind == "ts") return TimeSpec(mem, value);
  if (kind == "sigset" && value != 0) {
    ErrnoOr<uint64_t> set = mem.Get<uint64_t>(UserAddr(value));
    if (set.ok()) return StrPrintf("{%#llx}", static_cast<unsigned long long>(*set));
  }
  return Scalar(kind, value);
}

}  // namespace runsc
