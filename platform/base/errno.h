#ifndef PLATFORM_BASE_ERRNO_H_
#define PLATFORM_BASE_ERRNO_H_

#include <cassert>
#include <cstdint>
#include <new>
#include <type_traits>
#include <utility>

namespace runsc {

// Errors a guest can see: errno(3) values, plus the kernel-internal restart codes above 511 that
// signal delivery turns into EINTR or a restart. The numbers are Linux's on every architecture we
// serve.
enum class Errno : uint16_t {
  kOk = 0,
  kPerm = 1, kNoent = 2, kSrch = 3, kIntr = 4, kIo = 5, kNxio = 6, k2big = 7, kNoexec = 8,
  kBadf = 9, kChild = 10, kAgain = 11, kNomem = 12, kAcces = 13, kFault = 14, kNotblk = 15,
  kBusy = 16, kExist = 17, kXdev = 18, kNodev = 19, kNotdir = 20, kIsdir = 21, kInval = 22,
  kNfile = 23, kMfile = 24, kNotty = 25, kTxtbsy = 26, kFbig = 27, kNospc = 28, kSpipe = 29,
  kRofs = 30, kMlink = 31, kPipe = 32, kDom = 33, kRange = 34, kDeadlk = 35, kNametoolong = 36,
  kNolck = 37, kNosys = 38, kNotempty = 39, kLoop = 40, kNomsg = 42, kIdrm = 43, kNodata = 61,
  kTime = 62, kProto = 71, kBadmsg = 74, kOverflow = 75, kLibbad = 80, kIlseq = 84, kUsers = 87, kNotsock = 88,
  kDestaddrreq = 89, kMsgsize = 90, kPrototype = 91, kNoprotoopt = 92, kProtonosupport = 93,
  kSocktnosupport = 94, kOpnotsupp = 95, kPfnosupport = 96, kAfnosupport = 97, kAddrinuse = 98,
  kAddrnotavail = 99, kNetdown = 100, kNetunreach = 101, kConnaborted = 103, kConnreset = 104,
  kNobufs = 105, kIsconn = 106, kNotconn = 107, kToomanyrefs = 109, kTimedout = 110, kConnrefused = 111,
  kHostdown = 112, kHostunreach = 113, kAlready = 114, kInprogress = 115, kStale = 116,
  kDquot = 122, kCanceled = 125, kNokey = 126, kOwnerdead = 130, kNotrecoverable = 131,
  // What a file operation that would sleep answers; the wait loop in syscalls/dispatch waits.
  kWouldBlock = kAgain,
  // Restart codes (Linux include/linux/errno.h). Never reach the guest.
  kRestartSys = 512,       // restart if SA_RESTART, else EINTR
  kRestartNoIntr = 513,    // always restart
  kRestartNoHand = 514,    // restart only if no handler runs
  kRestartBlock = 516,     // restart through restart_syscall(2)
};

// Short name of an errno, such as "ENOENT"; "E?" if unknown.
const char* ErrnoName(Errno e);

// A value or an Errno. Never holds Errno::kOk as an error.
template <typename T>
class [[nodiscard]] ErrnoOr {
 public:
  ErrnoOr(Errno e) : errno_(e) { assert(e != Errno::kOk); }  // NOLINT: implicit by design
  template <typename U = T>
    requires(std::is_constructible_v<T, U &&> && !std::is_same_v<std::decay_t<U>, ErrnoOr<T>> &&
             !std::is_same_v<std::decay_t<U>, Errno>)
  ErrnoOr(U&& v) : errno_(Errno::kOk) {  // NOLINT: implicit by design
    new (&value_) T(std::forward<U>(v));
  }
  ErrnoOr(ErrnoOr&& o) noexcept : errno_(o.errno_) {
    if (ok()) new (&value_) T(std::move(o.value_));
  }
  ErrnoOr(const ErrnoOr& o) : errno_(o.errno_) {
    if (ok()) new (&value_) T(o.value_);
  }
  ErrnoOr& operator=(ErrnoOr&& o) noexcept {
    if (this != &o) {
      this->~ErrnoOr();
      new (this) ErrnoOr(std::move(o));
    }
    return *this;
  }
  ~ErrnoOr() {
    if (ok()) value_.~T();
  }

  bool ok() const { return errno_ == Errno::kOk; }
  // kOk if there is a value.
  Errno error() const { return errno_; }
  T& value() & { return assert(ok()), value_; }
  const T& value() const& { return assert(ok()), value_; }
  T&& value() && { return assert(ok()), std::move(value_); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T value_or(T other) const { return ok() ? value_ : std::move(other); }

 private:
  Errno errno_;
  union {
    T value_;
  };
};

template <>
class [[nodiscard]] ErrnoOr<void> {
 public:
  ErrnoOr() = default;
  ErrnoOr(Errno e) : errno_(e) {}  // NOLINT: implicit; kOk is allowed here
  bool ok() const { return errno_ == Errno::kOk; }
  Errno error() const { return errno_; }
  void value() const { assert(ok()); }

 private:
  Errno errno_ = Errno::kOk;
};

using Status = ErrnoOr<void>;
inline Status Ok() { return {}; }

}  // namespace runsc

// Value of an ErrnoOr, or return its error from the enclosing function.
#define TRY(expr)                                       \
  ({                                                    \
    auto&& try_result_ = (expr);                        \
    if (!try_result_.ok()) [[unlikely]]                 \
      return try_result_.error();                       \
    std::forward<decltype(try_result_)>(try_result_).value(); \
  })

#endif  // PLATFORM_BASE_ERRNO_H_
