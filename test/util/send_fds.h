// Descriptors through UNIX sockets, for guest tests and the fuzzer's guest.
#pragma once

#include <string.h>
#include <sys/socket.h>

#include <string_view>
#include <vector>

namespace guest {

// sendmsg(2) of `text` with the descriptors `fds`.
inline ssize_t SendFds(int to, const std::vector<int>& fds, std::string_view text = "x",
                       int flags = 0) {
  const size_t bytes = sizeof(int) * fds.size();
  std::vector<char> control(CMSG_SPACE(bytes));
  iovec iov = {const_cast<char*>(text.data()), text.size()};
  msghdr m = {};
  m.msg_iov = &iov;
  m.msg_iovlen = 1;
  m.msg_control = control.data();
  m.msg_controllen = control.size();
  cmsghdr* c = CMSG_FIRSTHDR(&m);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(bytes);
  memcpy(CMSG_DATA(c), fds.data(), bytes);
  return sendmsg(to, &m, flags);
}

}  // namespace guest
