#ifndef PLATFORM_HOST_UNIQUE_FD_H_
#define PLATFORM_HOST_UNIQUE_FD_H_

#include <utility>

namespace runsc {

// Owns one host file descriptor; -1 is none.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& o) noexcept : fd_(o.release()) {}
  UniqueFd& operator=(UniqueFd&& o) noexcept {
    if (this != &o) reset(o.release());
    return *this;
  }
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }
  // Gives the descriptor to the caller.
  int release() { return std::exchange(fd_, -1); }
  // Closes what is held and holds `fd`.
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

}  // namespace runsc

#endif  // PLATFORM_HOST_UNIQUE_FD_H_
